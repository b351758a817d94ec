"""Sets a study's runs beside the paper: values with intervals, and verdicts by stated rules."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import as_text
from hfvae_runner.reproduce import statistics
from hfvae_runner.reproduce.runs import Found, grouped, place_of, value_of, values_of
from hfvae_runner.reproduce.statistics import Estimate
from hfvae_runner.reproduce.study import Better, Claim, Published, Row, Share, Transfer, Trend

AGREES, IS_BETTER, IS_WORSE, DIFFERS, NOT_RUN = "agrees", "better", "worse", "differs", "not run"
OTHER_CONDITIONS, NO_NUMBER, TOO_FEW = "other conditions", "no number in the paper", "too few runs for an interval"
NOT_DEFINED = "not defined in these runs"
NO_INTERVAL = "no interval for the best of several runs"
HOLDS, CONTRADICTED, UNDECIDED = "holds", "contradicted", "undecided"

RULES = """\
An interval is the 95 % percentile bootstrap over seeds. The paper's is by Student's t from its standard deviation and
number of runs, where it gives both; else it is the number alone. Ours needs three runs. *agrees*: the two overlap.
*better*, *worse* or *differs* (where neither direction is better): they do not. *other conditions*: the runs differ
from the paper's in what stands above the table, so the comparison, in brackets, is of the two numbers and not of the
method. A claim between two methods *holds* where the interval of the probability of improvement lies above one half,
is *contradicted* where it lies below, and is *undecided* otherwise, also with fewer than four runs on a side. A claim
about two numbers is decided by the interval of their rank correlation and zero in the same way, and so is one about
settings that rank alike under two conditions, by their means over seeds. The best of k runs is the average over all
choices of k of the runs, without an interval, since the bootstrap's is too narrow. A share of the variance is 1 less
the ratio of the mean squares within groups and in all, which is 0 on average where the groups do not matter."""
"""How the verdicts come about, for the page."""


def row_of(row: Row, found: Found) -> dict[str, object]:
    """Compare one row of the table with its runs; a mapping for study.json."""
    runs = found.completed(row.runs)
    values = values_of(runs, row.quantity)
    ours = _estimate(row, values)
    paper = None if row.paper is None else _published(row.paper)
    return {
        "what": row.what,
        "metric": row.quantity.metric,
        "better": row.better,
        "best_of": row.best_of,
        "paper": paper,
        "ours": None if ours is None else {**_numbers(ours), "values": values, "seeds": _seeds(runs)},
        "verdict": _too_few(row, runs, values) if ours is None else _verdict(row, ours, found),
    }


def claim_of(claim: Claim, found: Found) -> dict[str, object]:
    """Decide a claim between two methods; a mapping for study.json."""
    sides = [values_of(found.completed(each), claim.quantity) for each in (claim.method, claim.than)]
    counts = [len(side) for side in sides]
    result: dict[str, object] = {"what": claim.what, "where": claim.where, "runs": counts, "values": sides}
    if not all(sides):
        return {**result, "probability": None, "verdict": NOT_RUN}
    sign = 1 if claim.better == "higher" else -1
    estimate = statistics.probability_of_improvement(*([sign * value for value in side] for side in sides))
    return {**result, "probability": _numbers(estimate), "verdict": _decided(estimate, 0.5, positive=True)}


def trend_of(trend: Trend, found: Found) -> dict[str, object]:
    """Decide a claim about two numbers that move together; a mapping for study.json."""
    pairs = [(place_of(run, trend.x), value_of(run, trend.y)) for run in found.completed(trend.runs)]
    known = [(x, y) for x, y in pairs if x is not None and y is not None]
    values = [list(pair) for pair in known]
    result: dict[str, object] = {"what": trend.what, "where": trend.where, "runs": len(known), "values": values}
    return {**result, **_correlation(known, positive=trend.sign == "positive")}


def transfer_of(transfer: Transfer, found: Found) -> dict[str, object]:
    """Decide a claim that settings rank alike under two conditions; a mapping for study.json."""
    first = grouped(found.completed(transfer.runs), transfer.by, transfer.quantity)
    second = grouped(found.completed(transfer.to), transfer.by, transfer.other or transfer.quantity)
    shared = [setting for setting in first if setting in second]
    means = [(float(np.mean(first[setting])), float(np.mean(second[setting]))) for setting in shared]
    values = [list(pair) for pair in means]
    result: dict[str, object] = {"what": transfer.what, "where": transfer.where, "runs": len(means), "values": values}
    return {**result, **_correlation(means, positive=True)}


def share_of(share: Share, found: Found) -> dict[str, object]:
    """Divide a number's variance over runs by levels of settings; a mapping for study.json."""
    runs = found.completed(share.runs)
    keys: list[str] = []
    levels: list[dict[str, object]] = []
    for level in share.by:
        keys += level
        groups = list(grouped(runs, keys, share.quantity).values())
        levels.append({"by": list(level), "groups": len(groups), "share": statistics.share_explained(groups)})
    return {"what": share.what, "runs": len(values_of(runs, share.quantity)), "levels": levels}


def _correlation(pairs: Sequence[tuple[float, float]], *, positive: bool) -> dict[str, object]:
    """Return the rank correlation of pairs of numbers, and whether it has the claimed sign."""
    if not pairs:
        return {"correlation": None, "verdict": NOT_RUN}
    estimate = statistics.rank_correlation([x for x, _ in pairs], [y for _, y in pairs])
    if math.isnan(estimate.value):
        return {"correlation": None, "verdict": UNDECIDED}
    return {"correlation": _numbers(estimate), "verdict": _decided(estimate, 0.0, positive=positive)}


def _estimate(row: Row, values: Sequence[float]) -> Estimate | None:
    """Return the mean over runs, or of the best of k of them; None where there are too few."""
    if row.best_of is None:
        return statistics.mean(values) if values else None
    sign = -1 if row.better == "lower" else 1
    best = statistics.best_of([sign * value for value in values], row.best_of)
    return None if best is None else Estimate(sign * best, None, None)


def _too_few(row: Row, runs: Sequence[Run], values: Sequence[float]) -> str:
    """Return why a row has no number of ours."""
    if not runs:
        return NOT_RUN
    return f"fewer than {row.best_of} runs" if values else NOT_DEFINED


def _verdict(row: Row, ours: Estimate, found: Found) -> str:
    if row.paper is None:
        return NO_NUMBER
    if row.best_of is not None:
        return NO_INTERVAL
    plain = _compared(ours, row.paper, row.better)
    return f"{OTHER_CONDITIONS} ({plain})" if found.size in found.study.differs else plain


def _compared(ours: Estimate, paper: Published, better: Better) -> str:
    if ours.low is None or ours.high is None:
        return TOO_FEW
    theirs = statistics.interval_of_published(paper.value, paper.deviation, paper.runs)
    low = theirs.value if theirs.low is None else theirs.low
    high = theirs.value if theirs.high is None else theirs.high
    if ours.low <= high and low <= ours.high:
        return AGREES
    if better == "neither":
        return DIFFERS
    return IS_BETTER if (ours.value > paper.value) == (better == "higher") else IS_WORSE


def _decided(estimate: Estimate, border: float, *, positive: bool) -> str:
    if estimate.low is None or estimate.high is None:
        return UNDECIDED
    above, below = estimate.low > border, estimate.high < border
    if not above and not below:
        return UNDECIDED
    return HOLDS if above == positive else CONTRADICTED


def _published(paper: Published) -> Mapping[str, object]:
    estimate = statistics.interval_of_published(paper.value, paper.deviation, paper.runs)
    given = {"deviation": paper.deviation, "runs": paper.runs, "where": paper.where, "note": paper.note}
    return {**_numbers(estimate), **given}


def _numbers(estimate: Estimate) -> dict[str, float | None]:
    return estimate._asdict()


def _seeds(runs: Sequence[Run]) -> list[str]:
    return [as_text(run.config.get("seed")) for run in runs]

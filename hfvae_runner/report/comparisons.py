"""Figures that compare settings: two metrics against each other, and box plots per objective."""

from collections.abc import Iterator, Sequence

from hfvae_runner.figures import boxes, trade_off
from hfvae_runner.figures.looks import Key
from hfvae_runner.figures.trade_off import Axis, Panel
from hfvae_runner.report.dots import Dot, Plot, keys_of, measured, values_of
from hfvae_runner.report.metrics import CORRELATION, ELBO, GAPS, INFORMATION, RECONSTRUCTION, Metric
from hfvae_runner.report.settings import natural
from hfvae_runner.report.table import choices

_SCATTER, _PARETO, _GAP = "information_and_correlation", "pareto", "correlation_and_mig"
TRADE_OFFS = (_SCATTER, _PARETO, _GAP)
BOXES = "boxes_by_objective"
_FEWEST = 3
"""The least number of runs of an objective for a box."""
_EXPLAINED = (
    "A small dot per run; a large one at a setting's means, with bars of one standard deviation to either side."
)


def trade_offs(keys: Sequence[str], dots: Sequence[Dot]) -> Iterator[Plot]:
    """Yield figures of two metrics against each other, if at least two runs have both.

    - Mutual information and total correlation (HFVAE, Fig. 8).
    - Reconstruction and ELBO against disentanglement (β-TCVAE, Fig. 2; ISA-VAE, Fig. 5). Disentanglement is the MIG if
      at least two runs have one, else the total correlation.
    - Total correlation and MIG (β-TCVAE, Fig. 4).
    """
    gap = next((metric for metric in GAPS if sum(metric.of(dot.run) is not None for dot in dots) > 1), None)
    yield from _trade_off(
        keys, dots, _SCATTER, "Information and total correlation", [(INFORMATION, CORRELATION)], front=True
    )
    quality = gap or CORRELATION
    pairs = [(RECONSTRUCTION, quality), (ELBO, quality)]
    yield from _trade_off(keys, dots, _PARETO, f"Model quality and {quality.title}", pairs, front=True)
    if gap is not None:
        title = "Total correlation and mutual information gap"
        yield from _trade_off(keys, dots, _GAP, title, [(CORRELATION, gap)], front=False)


def _trade_off(
    keys: Sequence[str], dots: Sequence[Dot], name: str, title: str, pairs: Sequence[tuple[Metric, Metric]], front: bool
) -> Iterator[Plot]:
    metrics = dict.fromkeys(metric for pair in pairs for metric in pair)
    chosen = [dot for dot in dots if all(metric.of(dot.run) is not None for metric in metrics)]
    if len(chosen) < 2:
        return
    settings = [dot.setting for dot in chosen]
    axes = {metric: Axis(metric.axis, values_of(metric, chosen), metric.better) for metric in metrics}
    panels = []
    captions = [_EXPLAINED]
    values = {dot.setting: dot.values for dot in chosen}
    for x, y in pairs:
        # A single setting has no front.
        best = trade_off.front(axes[x], axes[y], settings) if front and len(values) > 1 else []
        panels.append(Panel(axes[x], axes[y], best))
        if best:
            listed = "; ".join(f"{number} {choices(values[each])}" for number, each in enumerate(best, start=1))
            captions.append(f"On the front of {x.title} and {y.title}, beaten in both by no other setting: {listed}.")
    color, shape, size = keys_of(keys, chosen)
    yield Plot(name, " ".join(captions), trade_off.trade_off(title, panels, settings, color, shape, size))


def box_plots(dots: Sequence[Dot]) -> Iterator[Plot]:
    """Yield a figure of every metric per objective, if at least two objectives have three runs or more."""
    by_objective: dict[str, list[Dot]] = {}
    for dot in dots:
        by_objective.setdefault(dot.values.get("objective", ""), []).append(dot)
    several = [each for runs in by_objective.values() if len(runs) >= _FEWEST for each in runs]
    labels = [dot.values.get("objective", "") for dot in several]
    ranked = sorted(set(labels), key=natural)
    if len(ranked) < 2:
        return
    panels = {metric.axis: values for metric, values in measured(several).items()}
    if panels:
        caption = (
            "Every metric of the test split by objective: median, quartiles, whiskers to the outermost run within 1.5 "
            "times the box, and a dot per run. A box holds all runs of its objective, of whatever setting and seed."
        )
        yield Plot(BOXES, caption, boxes.boxes(panels, Key("objective", labels, ranked)))

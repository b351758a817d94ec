"""Renders study.json as Markdown: a study's page, and one table over all studies."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hfvae_runner.reproduce.comparison import RULES
from hfvae_runner.reproduce.results import FIGURE

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$])")
_ABBREVIATED = 10
_VERDICTS = (
    "agrees",
    "better",
    "worse",
    "differs",
    "other conditions",
    "holds",
    "contradicted",
    "undecided",
    "not run",
)


def page(study: Mapping[str, Any]) -> str:
    """Return a study's page; study: the content of study.json."""
    done, asked = study["runs"]["completed"], study["runs"]["asked"]
    lines = [
        f"# {_text(study['title'])}",
        "",
        f"{_text(study['paper'])}. {_text(study['shows'])}",
        "",
        f"Size `{study['size']}`; {done} of {asked} runs completed, {_duration(study['hours'])} of training.",
        f"Machine: {_text(study['machine'])}. Commit: {_commits(study['commits'])}.",
        "",
        f"```sh\n{study['command']}\n```",
        "",
    ]
    if study["differs"]:
        lines += [f"**In what these runs differ from the paper's:** {_text(study['differs'])}", ""]
    if study["rows"]:
        lines += [*_table(("", "paper", "here", "runs", "verdict"), [_row(row) for row in study["rows"]]), ""]
    if study["claims"]:
        head = ("claim", "where", "probability of improvement", "runs", "verdict")
        lines += [*_table(head, [_claim(claim) for claim in study["claims"]]), ""]
    if study["trends"]:
        head = ("claim", "where", "rank correlation", "runs", "verdict")
        lines += [*_table(head, [_trend(trend) for trend in study["trends"]]), ""]
    if study["transfers"]:
        head = ("claim", "where", "rank correlation", "settings", "verdict")
        lines += [*_table(head, [_trend(transfer) for transfer in study["transfers"]]), ""]
    if study["shares"]:
        lines += [*_table(("variance of", "runs", "explained by", "share"), _shares(study["shares"])), ""]
    lines += [f"![{_text(study['caption'])}]({FIGURE})", "", _text(study["caption"]), ""]
    if study.get("findings"):
        lines += ["## What the runs showed", "", _text(study["findings"]), ""]
    if study["not_completed"]:
        lines += ["## Runs that did not complete", "", *(f"- {_text(each)}" for each in study["not_completed"]), ""]
    return "\n".join([*lines, RULES, ""])


def overview(studies: Sequence[Mapping[str, Any]]) -> str:
    """Return the page over all studies; studies: the content of each study.json, in the order of the table."""
    head = ("study", "paper", "size", "runs", "training", "rows and claims")
    rows = [
        (
            f"[{_text(each['name'])}]({each['name']}/README.md)",
            _text(each["paper"]),
            str(each["size"]),
            f"{each['runs']['completed']} of {each['runs']['asked']}",
            _duration(each["hours"]),
            _counts(each),
        )
        for each in studies
    ]
    text = (
        "Each study is one command, `python -m hfvae_runner.reproduce STUDY size=SIZE`, which also wrote this page and "
        "those that it links to. Sizes: `smoke` takes minutes on two cores, `cpu` a night, `paper` is the paper's own."
    )
    return "\n".join(["# The papers' results beside ours", "", text, "", *_table(head, rows), "", RULES, ""])


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    paper, ours = row["paper"], row["ours"]
    runs = "0" if ours is None else str(len(ours["values"]))
    return _text(row["what"]), _paper(paper), "" if ours is None else _estimate(ours), runs, _text(row["verdict"])


def _claim(claim: Mapping[str, Any]) -> tuple[str, ...]:
    found = claim["probability"]
    runs = " / ".join(map(str, claim["runs"]))
    shown = "" if found is None else _estimate(found)
    return _text(claim["what"]), _text(claim["where"]), shown, runs, _text(claim["verdict"])


def _trend(trend: Mapping[str, Any]) -> tuple[str, ...]:
    found = trend["correlation"]
    shown = "" if found is None else _estimate(found)
    return _text(trend["what"]), _text(trend["where"]), shown, str(trend["runs"]), _text(trend["verdict"])


def _shares(shares: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return a line per level; each level's share is of the settings named so far."""
    rows: list[tuple[str, ...]] = []
    for share in shares:
        for index, level in enumerate(share["levels"]):
            what = (_text(share["what"]), str(share["runs"])) if index == 0 else ("", "")
            named = f"{'and ' if index else ''}{', '.join(level['by'])} ({level['groups']} groups)"
            shown = "not defined" if level["share"] is None else f"{100 * level['share']:.0f} %"
            rows.append((*what, _text(named), shown))
    return rows


def _paper(paper: Mapping[str, Any] | None) -> str:
    if paper is None:
        return ""
    spread = "" if paper["deviation"] is None else f" ± {_number(paper['deviation'])}"
    note = "" if paper["note"] is None else f", {_text(paper['note'])}"
    return f"{_number(paper['value'])}{spread} ({_text(paper['where'])}{note})"


def _estimate(found: Mapping[str, Any]) -> str:
    shown = _number(found["value"])
    return shown if found["low"] is None else f"{shown} [{_number(found['low'])}, {_number(found['high'])}]"


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"


def _commits(commits: Mapping[str, int]) -> str:
    named = [f"`{name[:_ABBREVIATED]}{'+changes' if name.endswith('+changes') else ''}`" for name in commits]
    if len(named) == 1:
        return named[0]
    return ", ".join(f"{name} ({count} runs)" for name, count in zip(named, commits.values(), strict=True)) or "none"


def _counts(study: Mapping[str, Any]) -> str:
    verdicts = [each["verdict"] for key in ("rows", "claims", "trends", "transfers") for each in study[key]]
    counted = {name: sum(each.startswith(name) for each in verdicts) for name in _VERDICTS}
    rest = len(verdicts) - sum(counted.values())
    parts = [f"{count} {name}" for name, count in counted.items() if count]
    return ", ".join([*parts, *([f"{rest} without a number to compare"] if rest else [])])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _text(text: object) -> str:
    """Escape what Markdown reads as markup, and keep it on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))

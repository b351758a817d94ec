"""``report.html``: one page without external resources, from a template."""

import base64
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hfvae_runner.report.cards import cards, with_a_card
from hfvae_runner.report.cells import Cell, Head, Table, address, count, heads, setting, short_text
from hfvae_runner.report.choice import HEADS, chosen
from hfvae_runner.report.data import content
from hfvae_runner.report.metrics import METRICS, WALL, Metric
from hfvae_runner.report.runs import COMPLETED, Run, shown
from hfvae_runner.report.sampled import HEADS as SAMPLED_HEADS
from hfvae_runner.report.sampled import pairs
from hfvae_runner.report.selection import best_first, headline, ranked
from hfvae_runner.report.settings import MISSING, Comparison, as_text
from hfvae_runner.report.table import Setting, Spread, are_words, as_texts, columns, count_title
from hfvae_runner.report.template import rendered

_PHONE = 600
_MOST_ROWS = 1000
"""The largest number of rows of a table; more would make the page slow. The CSV files have all rows."""
_LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
_SCRIPTS = (*_LIBRARIES, "dom.js", "pins.js", "tables.js", "correlations.js", "plots.js", "curves.js", "differences.js")
_ROWS_AT_FIRST = 100
"""The number of rows that a table shows until it is sorted, filtered, copied or asked for the rest."""
_SETTINGS = "Mean (bold the best, italic the second best), and [least, most] over the runs of a setting"
_CHOICES = "The run with the largest criterion, its metric, and the metric over all runs of the setting"
_PAIRS = "Metrics of the test split as it is, and drawn by the weights of dataset.sampling: mean [least, most]"
_SPLIT = "test split, information in nats per example"
_BY_TITLE = {metric.title: metric for metric in (*METRICS, WALL)}


class Picture(NamedTuple):
    """A figure of the sweep: its caption, the bytes of a PNG, and its width on the page in CSS pixels."""

    caption: str
    png: bytes
    width: int

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"

    @property
    def broad(self) -> bool:
        """Whether it keeps its size and scrolls on a phone; a narrow one shrinks to fit."""
        return self.width > _PHONE


def page(
    home: Path, runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison, pictures: Sequence[Picture]
) -> str:
    """Return the whole page, with links relative to the folder ``home``, whose path contains no symbolic links."""
    near = with_a_card(runs, settings)
    return rendered(
        _asset("report.html.j2"),
        style=_asset("page.css"),
        script="\n".join(map(_asset, _SCRIPTS)),
        data=content(home, settings, comparison, near),
        title=f"{shown(home.name) or 'All'}: {count(len(runs), 'run')}",
        states=_states(runs),
        comparison=comparison,
        at_first=_ROWS_AT_FIRST,
        tables={
            "settings": [*_settings(settings, comparison), *_choices(settings), *_sampled(settings)],
            "runs": [_runs(home, runs, settings, comparison)],
        },
        pictures=pictures,
        cards=cards(home, runs, settings, comparison),
        curves_rule="" if len(near) == len(runs) else f"Of the {len(near)} runs that have a card below.",
        about=[each for each in (*METRICS, WALL) if any(each.of(run) is not None for run in runs)],
    )


def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _states(runs: Sequence[Run]) -> str:
    """Return how many runs have each status, as in ``2 completed, 1 failed``."""
    states: dict[str, int] = {}
    for run in runs:
        states[run.status] = states.get(run.status, 0) + 1
    return ", ".join(f"{number} {status}" for status, number in states.items())


def _settings(settings: Sequence[Setting], comparison: Comparison) -> list[Table]:
    """Return the table of settings; none if no run has a config."""
    if not settings:
        return []
    best, rule = _settings_with_a_row(settings)
    measured = columns(best)
    titles = {key: are_words([each.values[key] for each in best]) for key in comparison.varying}
    own = [*heads(titles), Head(count_title(settings), False), *map(_head, measured)]
    marks = {title: _marks(best, title) for title in measured}
    rows = [_setting(row, each, measured, marks) for row, each in enumerate(best)]
    return [Table("", "Settings", f"{_SETTINGS}; {_SPLIT}.{rule}", own, rows)]


def _head(title: str) -> Head:
    return Head(title, False, _BY_TITLE[title].about)


def _settings_with_a_row(settings: Sequence[Setting]) -> tuple[Sequence[Setting], str]:
    """Return as many settings as a table can have, in their own order, and the rule of selection if not all fit."""
    if len(settings) <= _MOST_ROWS:
        return settings, ""
    best = {id(setting) for setting in ranked(settings)[:_MOST_ROWS]}
    rule = f" Of {len(settings):,} settings {_best(_MOST_ROWS, settings)}; all of them are in settings.csv."
    return [setting for setting in settings if id(setting) in best], rule


def _best(number: int, settings: Sequence[Setting]) -> str:
    return f"the {number:,} best by mean {headline(settings).title}"


def _setting(
    row: int, own: Setting, measured: Mapping[str, Sequence[Spread | None]], marks: Mapping[str, Mapping[int, str]]
) -> list[Cell]:
    cells = [setting(value) for value in own.values.values()]
    cells.append(Cell(own.count, len(own.completed)))
    for title, column in measured.items():
        cell = column[row]
        if cell is None:
            cells.append(Cell(MISSING))
        else:
            bounds = f"[{cell.least}, {cell.most}]" if cell.n > 1 else ""
            cells.append(Cell(cell.mean, _mean(own, title), bounds, kind=marks[title].get(row, "")))
    return cells


def _mean(own: Setting, title: str) -> float | None:
    """Return the mean of a metric over a setting's completed runs; None where none of them has it."""
    numbers = [value for run in own.completed if (value := _BY_TITLE[title].of(run)) is not None]
    return sum(numbers) / len(numbers) if numbers else None


def _marks(settings: Sequence[Setting], title: str) -> dict[int, str]:
    """Return the rows with the best and the second best mean, as CSS classes; none for a metric without a direction."""
    better = _BY_TITLE[title].better
    means = {row: mean for row, own in enumerate(settings) if (mean := _mean(own, title)) is not None}
    values = sorted(set(means.values()), reverse=better == "higher")
    if not better or len(values) < 2:
        return {}
    kinds = dict(zip(values, ("first", "second"), strict=False))
    return {row: kinds[mean] for row, mean in means.items() if mean in kinds}


def _runs(home: Path, all_runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison) -> Table:
    runs, rule = _with_a_row(all_runs, settings)
    measured = {metric: _texts(metric, runs) for metric in (*METRICS, WALL)}
    measured = {metric: texts for metric, texts in measured.items() if any(text != MISSING for text in texts)}
    given = {key: [run.texts.get(key, MISSING) for run in runs] for key in comparison.varying}
    given["seed"] = [as_text(run.config["seed"]) if "seed" in run.config else MISSING for run in runs]
    titles = {"run": True, "status": True} | {key: are_words(texts) for key, texts in given.items()}
    own = [*heads(titles), *(_head(metric.title) for metric in measured)]
    rows = []
    for index, run in enumerate(runs):
        kind = "words" if run.status == COMPLETED else "words long failed"
        link = f"{address(run.path, home)}/"
        row = [Cell(short_text(run.name), link=link, title=run.name, kind="words name")]
        row += [Cell(run.status, small=run.reason, kind=kind)]
        row += [setting(texts[index]) for texts in given.values()]
        row += [Cell(texts[index], metric.of(run)) for metric, texts in measured.items()]
        rows.append(row)
    return Table("Runs", "Runs", f"A row each, with a link to its folder; {_SPLIT}.{rule}", own, rows)


def _choices(settings: Sequence[Setting]) -> list[Table]:
    rows = [[setting(text) for text in each] for each in chosen(settings)]
    words = {"setting", "criterion", "metric"}
    own = heads({title: title in words for title in HEADS})
    return [Table("Choosing among seeds", "Choices", f"{_CHOICES}; {_SPLIT}.", own, rows)] if rows else []


def _sampled(settings: Sequence[Setting]) -> list[Table]:
    rows = [[setting(text) for text in each] for each in pairs(settings)]
    own = heads({title: title in ("setting", "metric") for title in SAMPLED_HEADS})
    return [Table("Sampled and as it is", "Sampled", f"{_PAIRS}; {_SPLIT}.", own, rows)] if rows else []


def _with_a_row(runs: Sequence[Run], settings: Sequence[Setting]) -> tuple[Sequence[Run], str]:
    """Return as many runs as a table can have, in their own order, and the rule of selection if not all fit."""
    if len(runs) <= _MOST_ROWS:
        return runs, ""
    failed = [run for run in runs if run.status != COMPLETED][: _MOST_ROWS // 2]
    best = list(islice(best_first(settings), _MOST_ROWS - len(failed)))
    chosen = {id(run) for run in (*failed, *best)}
    rule = f" Of {len(runs):,} runs {_best(len(best), settings)}"
    rule += f", and {len(failed):,} that did not complete" if failed else ""
    return [run for run in runs if id(run) in chosen], f"{rule}; all of them are in results.csv."


def _texts(metric: Metric, runs: Sequence[Run]) -> list[str]:
    """Return the metric of each run as text of equal precision."""
    values = [metric.of(run) for run in runs]
    present = [value for value in values if value is not None]
    texts = iter(as_texts(present, metric) if present else ())
    return [MISSING if value is None else next(texts) for value in values]

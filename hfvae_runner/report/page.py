"""``report.html``: one page without external resources."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hfvae_runner.report.cards import cards
from hfvae_runner.report.choice import HEADS, chosen
from hfvae_runner.report.html import Cell, address, count, description, setting, short_text, table
from hfvae_runner.report.metrics import METRICS, WALL, Metric
from hfvae_runner.report.runs import COMPLETED, Run, shown
from hfvae_runner.report.sampled import HEADS as SAMPLED_HEADS
from hfvae_runner.report.sampled import pairs
from hfvae_runner.report.selection import best_first, headline, ranked
from hfvae_runner.report.settings import MISSING, Comparison, as_text
from hfvae_runner.report.table import Setting, Spread, are_words, as_texts, columns, count_title

_PHONE = 600
_MOST_ROWS = 1000
"""The largest number of rows of a table; more would make the page slow. The CSV files have all rows."""
_SETTINGS = "Settings: mean (bold the best, italic the second best), and [least, most] over the runs of a setting"
_RUNS = "Runs: a row each"
_CHOICES = "Choices: the run with the largest criterion, its metric, and the metric over all runs of the setting"
_PAIRS = "Metrics of the test split as it is, and drawn by the weights of dataset.sampling: mean [least, most]"
_SPLIT = "test split, information in nats per example"


class Picture(NamedTuple):
    """A figure of the sweep: its caption, the bytes of a PNG, and its width on the page in CSS pixels."""

    caption: str
    png: bytes
    width: int


def page(
    home: Path, runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison, pictures: Sequence[Picture]
) -> str:
    """Return the whole page, with links relative to the folder ``home``, whose path contains no symbolic links."""
    title = f"{shown(home.name) or 'All'}: {count(len(runs), 'run')}"
    return "\n".join(
        [
            *_head(title),
            f"<body>\n<h1>{escape(title)}</h1>",
            *_overview(runs, settings, comparison),
            *_choices(settings),
            *_sampled(settings),
            *_runs(home, runs, settings, comparison),
            *_sweep(pictures),
            *cards(home, runs, settings, comparison),
            f"<script>{_script()}</script>",
            "</body>\n</html>\n",
        ]
    )


def _head(title: str) -> Iterator[str]:
    style, script = _asset("page.css"), _script()
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f"<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}; base-uri 'none'; form-action 'none'\">"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    # Without an icon, a browser requests one from the server.
    yield '<link rel="icon" href="data:,">'
    yield f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>"


def _script() -> str:
    return _asset("plot.js") + _asset("page.js")


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _overview(runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison) -> Iterator[str]:
    states: dict[str, int] = {}
    for run in runs:
        states[run.status] = states.get(run.status, 0) + 1
    yield f"<p>{escape(', '.join(f'{number} {status}' for status, number in states.items()))}.</p>"
    yield '<p>As tables: <a href="results.csv">results.csv</a>, every value of every run; '
    yield '<a href="settings.csv">settings.csv</a>, mean, standard deviation over the runs and count of every number '
    yield "of the test split, a row per setting.</p>\n<h2>Settings</h2>"
    if comparison.shared:
        yield f'<p class="quiet">The same for all:</p>\n{description(comparison.shared)}'
    if comparison.where_defined:
        yield f'<p class="quiet">The same where it is defined:</p>\n{description(comparison.where_defined)}'
    if settings:
        best, rule = _settings_with_a_row(settings)
        measured = columns(best)
        heads = {key: are_words([each.values[key] for each in best]) for key in comparison.varying}
        heads |= dict.fromkeys((count_title(settings), *measured), False)
        marks = {title: _marks(best, title) for title in measured}
        rows = (_setting(row, each, measured, marks) for row, each in enumerate(best))
        yield from table(f"{_SETTINGS}; {_SPLIT}.{rule}", heads, rows)


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


_BY_TITLE = {metric.title: metric for metric in (*METRICS, WALL)}


def _runs(home: Path, all_runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison) -> Iterator[str]:
    runs, rule = _with_a_row(all_runs, settings)
    measured = {metric: _texts(metric, runs) for metric in (*METRICS, WALL)}
    measured = {metric: texts for metric, texts in measured.items() if any(text != MISSING for text in texts)}
    given = {key: [run.texts.get(key, MISSING) for run in runs] for key in comparison.varying}
    given["seed"] = [as_text(run.config["seed"]) if "seed" in run.config else MISSING for run in runs]
    heads = {"run": True, "status": True} | {key: are_words(texts) for key, texts in given.items()}
    heads |= {metric.title: False for metric in measured}
    rows = []
    for index, run in enumerate(runs):
        kind = "words" if run.status == COMPLETED else "words long failed"
        row = [Cell(short_text(run.name), link=address(run.path, home) + "/", title=run.name, kind="words name")]
        row += [Cell(run.status, small=run.reason, kind=kind)]
        row += [setting(texts[index]) for texts in given.values()]
        row += [Cell(texts[index], metric.of(run)) for metric, texts in measured.items()]
        rows.append(row)
    yield "<h2>Runs</h2>"
    yield from table(f"{_RUNS}, with a link to its folder; {_SPLIT}.{rule}", heads, rows)


def _choices(settings: Sequence[Setting]) -> Iterator[str]:
    rows = [[setting(text) for text in each] for each in chosen(settings)]
    if rows:
        yield "<h2>Choosing among seeds</h2>"
        words = {"setting", "criterion", "metric"}
        heads = {title: title in words for title in HEADS}
        yield from table(f"{_CHOICES}; {_SPLIT}.", heads, rows)


def _sampled(settings: Sequence[Setting]) -> Iterator[str]:
    rows = [[setting(text) for text in each] for each in pairs(settings)]
    if rows:
        yield "<h2>Sampled and as it is</h2>"
        yield from table(
            f"{_PAIRS}; {_SPLIT}.", {title: title in ("setting", "metric") for title in SAMPLED_HEADS}, rows
        )


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


def _sweep(pictures: Sequence[Picture]) -> Iterator[str]:
    if pictures:
        yield "<h2>Figures</h2>"
    for picture in pictures:
        source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
        caption = escape(picture.caption)
        # A wide figure keeps its size and scrolls on a phone; a narrow one shrinks to fit.
        kind = ' class="broad"' if picture.width > _PHONE else ""
        image = f'<img src="{source}" alt="{caption}" width="{picture.width}"{kind}>'
        frame = '<div class="wide whole" role="region" aria-label="Figure" tabindex="0">'
        yield f"<figure>{frame}{image}</div>\n<figcaption>{caption}</figcaption></figure>"

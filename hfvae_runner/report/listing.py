"""The report's output on the terminal: the table of settings, and the runs that did not complete."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hfvae_runner.report.choice import chosen
from hfvae_runner.report.runs import COMPLETED, Run
from hfvae_runner.report.settings import MISSING, Comparison
from hfvae_runner.report.table import Setting, Spread, are_words, choices, columns, count_title

_GAP = 2


class Listing(NamedTuple):
    """The lines above the table, its columns (title, rule and a cell per setting in one width), and the lines below."""

    above: list[str]
    columns: list[list[str]]
    below: list[str]

    def text(self, width: int) -> str:
        """Format it as text, a line per setting; a table wider than ``width`` is split into parts of numbered lines."""
        parts = [self.columns]
        if _width(self.columns) > width:
            settings = len(self.columns[0]) - 2
            numbers = _aligned("#", [str(i) for i in range(1, settings + 1)])
            parts = [[numbers, *part] for part in _fit(self.columns, width - _width([numbers]) - _GAP)]
        tables = ["\n".join((" " * _GAP).join(line).rstrip() for line in zip(*part, strict=True)) for part in parts]
        blocks = ["\n".join(self.above), *tables] if self.columns else []
        return "\n\n".join([*blocks, "\n".join(self.below)] if self.below else blocks)


def listing(runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison) -> Listing:
    """Build the listing of all runs and their settings; it has no table if no run has a config."""
    rest = [run for run in runs if run.status != COMPLETED]
    below = list(_chosen(settings))
    below += ["not completed:"] if rest else []
    below += [f"  {run.name}: {run.status}{': ' if run.reason else ''}{run.reason}" for run in rest]
    if not settings:
        return Listing([], [], below)
    rows = [[*setting.values.values(), setting.count] for setting in settings]
    names = [*comparison.varying, count_title(settings)]
    blocks = [_aligned(name, [row[i] for row in rows]) for i, name in enumerate(names)]
    blocks += [_aligned(title, _padded(cells)) for title, cells in columns(settings).items()]
    return Listing(list(_above(comparison)), blocks, below)


def _above(comparison: Comparison) -> Iterator[str]:
    titles = {"the same for all": comparison.shared, "the same where it is defined": comparison.where_defined}
    yield from (f"{title}: {choices(values)}" for title, values in titles.items() if values)
    yield "test split, nats per example; mean [least, most]"


def _chosen(settings: Sequence[Setting]) -> Iterator[str]:
    """The choice of each criterion among the runs of a setting, a line each."""
    found = list(chosen(settings))
    if found:
        yield "chosen among the seeds:"
    for each in found:
        where = f"{each.setting}: " if each.setting else ""
        yield (
            f"  {where}{each.criterion} chooses seed {each.seed}: {each.metric} {each.chosen}, "
            f"over {each.runs} runs {each.mean} [{each.least}, {each.most}]"
        )


def _width(blocks: Sequence[list[str]]) -> int:
    return sum(len(block[0]) for block in blocks) + _GAP * (len(blocks) - 1)


def _fit(blocks: Sequence[list[str]], width: int) -> Iterator[list[list[str]]]:
    """Split the columns into as few parts as the width allows, with at least one column in each."""
    part: list[list[str]] = []
    for block in blocks:
        if part and _width([*part, block]) > width:
            yield part
            part = []
        part.append(block)
    yield part


def _padded(cells: Sequence[Spread | None]) -> list[str]:
    """Format the cells with the decimal points of the means aligned, and the bounds aligned."""
    present = [cell for cell in cells if cell]
    decimals = max(_decimals(cell.mean) for cell in present)
    means = [cell.mean + " " * (decimals - _decimals(cell.mean)) if cell else MISSING for cell in cells]
    width = max(map(len, means))
    bounds = [(cell.least, cell.most) for cell in present if cell.n > 1]
    least, most = (max((len(pair[i]) for pair in bounds), default=0) for i in (0, 1))
    tails = [f" [{cell.least:>{least}}, {cell.most:>{most}}]" if cell and cell.n > 1 else "" for cell in cells]
    tail = max(map(len, tails))
    return [f"{mean:>{width}}{bound:<{tail}}" for mean, bound in zip(means, tails, strict=True)]


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _aligned(title: str, cells: Sequence[str]) -> list[str]:
    """Pad title, rule and cells to one width, with words to the left and numbers to the right."""
    width = max(map(len, [title, *cells]))
    return [text.ljust(width) if are_words(cells) else text.rjust(width) for text in (title, "-" * width, *cells)]

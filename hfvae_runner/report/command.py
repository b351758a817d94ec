"""The report's command: its arguments, its output, and its exit code."""

import argparse
import gc
import io
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, DataError, RunnerError
from hfvae_runner.report import cache
from hfvae_runner.report.cache import Found
from hfvae_runner.report.cells import count
from hfvae_runner.report.collect import collect, look
from hfvae_runner.report.listing import listing
from hfvae_runner.report.results import results_csv, settings_csv
from hfvae_runner.report.runs import Run, is_run, shown
from hfvae_runner.report.settings import Comparison, compare
from hfvae_runner.report.table import Setting, group
from hfvae_runner.storage.files import write_atomic

_UNLIMITED = 1_000_000
_DPI = 150
_FIGURES = "figures"
_PIXELS = 66  # per inch of a figure, on the page

_DESCRIPTION = """\
Collect the runs below the folders into the first one:
  results.csv   a row per run, failed and unfinished ones too
  settings.csv  a row per setting: mean, standard deviation over the runs and
                count of every number of the test split
  figures/      the metrics against every number that varies, and over every
                grid of two; trade-offs with their front; box plots per
                objective; learned exponents; two-dimensional aggregate
                posteriors side by side
  report.html   tables that sort, these figures, and each run's traversals, in
                one page that needs no other file; of more runs than it
                has room for the best
  .report.jsonl.gz
                what was read: the next report reads only what has changed
and print a line per setting: mean and [least, most] over the seeds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code, 2 if the folders cannot be used."""
    return exit_code_of(lambda: _run(sys.argv[1:] if argv is None else argv))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; expected one or more folders with runs below them")


def _run(argv: Sequence[str]) -> int:
    parser = _Parser(
        prog="python -m hfvae_runner.report",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="searched for run folders")
    try:
        report(parser.parse_args(argv).folders)
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit:  # --help
        return 0
    return 0


def report(folders: Sequence[Path]) -> None:
    """Write the report on the runs below the folders into the first folder, and print its table.

    Raises:
        DataError: a folder is missing, there is no run, or the first folder is a run folder or cannot be written.
    """
    first = folders[0]
    found = look(folders)
    if is_run(first):
        raise DataError(f"{shown(first)} is a run's own folder; give the folder above it first, for the report's files")
    if not found:
        where = ", ".join(shown(folder) for folder in folders)
        raise DataError(f"no run at or below {where}; expected folders with a config.yaml, as runs leave them")
    home = first.resolve()
    known = cache.outcome(home, found)
    try:
        files, listed = known or _report(home, found)
    except OSError as error:
        # After a failed rename, the second name is the one that the user knows.
        path = error.filename2 or error.filename or first
        raise DataError(f"{shown(path)} cannot be written: {error.strerror}") from error
    if text := listed.text(shutil.get_terminal_size((_UNLIMITED, 24)).columns):
        print(text)
    figures = count(sum(name.startswith(_FIGURES) for name in files), "figure")
    state = " are up to date" if known else ""
    print(f"{shown(first)}: results.csv, settings.csv, report.html, {figures} in {_FIGURES}/{state}", file=sys.stderr)


def _report(home: Path, found: Mapping[str, Found]) -> cache.Outcome:
    with _lasting():
        runs = collect(found, cache.kept_runs(home, found))
        comparison = compare([run.texts for run in runs if run.config])
        settings = group(runs, comparison)
        tables = {"results.csv": results_csv(runs, comparison), "settings.csv": settings_csv(settings, comparison)}
    for name, text in tables.items():
        write_atomic(home / name, text)
    names = [*tables, *_write_page(home, runs, settings, comparison)]
    return cache.keep(home, found, runs, names, listing(runs, settings, comparison))


@contextmanager
def _lasting() -> Iterator[None]:
    """Exclude the objects created in the block from garbage collection, during the block and later.

    The block keeps millions of objects, and repeated searches for cycles among them would double the time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _write_page(home: Path, runs: Sequence[Run], settings: Sequence[Setting], comparison: Comparison) -> list[str]:
    """Write the figures and the page, and return the names of their files."""
    # matplotlib takes half a second to import.
    from hfvae_runner.report.page import Picture, page
    from hfvae_runner.report.plots import NAMES, plots

    folder = home / _FIGURES
    pictures: dict[Path, Picture] = {}
    for plot in plots(settings):
        stream = io.BytesIO()
        width = round(_PIXELS * plot.figure.get_figwidth())
        plot.figure.savefig(stream, format="png", dpi=_DPI)
        pictures[folder / f"{plot.name}.png"] = Picture(plot.caption, stream.getvalue(), width)
    if pictures:
        folder.mkdir(exist_ok=True)
    for path, picture in pictures.items():
        write_atomic(path, picture.png)
    # Figures of an earlier report that the current runs do not allow.
    for stale in {path for name in NAMES for path in folder.glob(f"{name}.png")} - pictures.keys():
        stale.unlink()
    write_atomic(home / "report.html", page(home, runs, settings, comparison, list(pictures.values())))
    return ["report.html", *(f"{_FIGURES}/{path.name}" for path in pictures)]

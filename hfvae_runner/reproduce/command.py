"""The command: its arguments, what it runs and writes, and its exit code."""

import argparse
import io
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, DataError, RunnerError, nearest
from hfvae_runner.reproduce import page, published, results, runs
from hfvae_runner.reproduce.results import FIGURE, PAGE, STUDY
from hfvae_runner.reproduce.study import SIZES, Size, Study, load, names
from hfvae_runner.storage.files import strict_json, write_atomic
from hfvae_runner.storage.provenance import commit

_OWN = ("size", "out", "publish", "commits")
_PASSED_ON = ("threads", "device", "data_root", "hydra/launcher", "on_divergence", "trackers")
_PASSED_ON_BELOW = ("hydra.launcher.", "metrics.batch_size")
"""None of these is part of a run folder's name: another launcher or device finds the runs that are there."""
_DPI = 100
_DESCRIPTION = """\
Run a paper's experiment and set its numbers beside the paper's.

  STUDY         name of an installed study (--list), or a study's YAML file
  size=SIZE     smoke (minutes on two cores; the default), cpu (a night), paper
  out=FOLDER    where the studies' folders go; by default outputs/studies
  publish=FOLDER
                also write each study's table, figure and runs.jsonl (configs and
                results, no checkpoints) to FOLDER/STUDY, and FOLDER/README.md
                over all studies there; runs published there count as done
  commits=any   use runs of other commits of this program too, and say so
  KEY=VALUE     for every run: threads, device, data_root, hydra/launcher, ...

Runs that are done are skipped and interrupted ones are resumed. The folder
out/STUDY/SIZE holds the runs, study.json, figure.png and README.md."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; expected STUDY ... size=SIZE, or --list")


@dataclass(frozen=True)
class _Asked:
    """What the command line asks for."""

    studies: tuple[tuple[str, Study], ...]
    size: Size
    out: Path
    publish: Path | None
    any_commit: bool
    overrides: tuple[str, ...]
    run: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code.

    2 where a study, a size or a folder is not usable; else that of the first sweep that failed, or 0.
    """
    return exit_code_of(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(arguments: list[str]) -> int:
    parser = _Parser(
        prog="python -m hfvae_runner.reproduce",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="name the studies")
    parser.add_argument("--no-run", action="store_true", help="write the tables from the runs that are there")
    parser.add_argument("arguments", nargs="*", metavar="STUDY or KEY=VALUE")
    try:
        given = parser.parse_intermixed_args(arguments)
        if given.list:
            print(_listing())
            return 0
        asked = _asked(given.arguments, run=not given.no_run)
        code = 0
        for name, study in asked.studies:
            code = _study(name, study, asked) or code
        if asked.publish is not None:
            _write_overview(asked.publish)
        return code
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as end:  # --help
        return int(end.code or 0)


def _listing() -> str:
    known = [load(name) for name in names()]
    width = max(len(name) for name, _ in known)
    return "\n".join(f"{name:<{width}}  {study.title} ({', '.join(_sizes(study))})" for name, study in known)


def _sizes(study: Study) -> list[Size]:
    return [size for size in SIZES if study.sweeps_of(size)]


def _asked(arguments: Sequence[str], *, run: bool) -> _Asked:
    own: dict[str, str] = {}
    overrides: list[str] = []
    chosen: list[str] = []
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if not separator:
            chosen.append(argument)
        elif key in _OWN:
            own[key] = value
        elif key in _PASSED_ON or key.startswith(_PASSED_ON_BELOW):
            overrides.append(argument)
        else:
            known = (*_OWN, *_PASSED_ON)
            raise ConfigError(f"{argument}: expected one of {', '.join(known)}{nearest(key, known)}")
    if not chosen:
        raise ConfigError(f"no study is named; expected some of {', '.join(names())}")
    size = own.get("size", "smoke")
    if size not in SIZES:
        raise ConfigError(f"size={size}: expected one of {', '.join(SIZES)}{nearest(size, SIZES)}")
    if own.get("commits", "any") != "any":
        raise ConfigError(f"commits={own['commits']}: expected any")
    studies = tuple(load(each) for each in chosen)
    for name, study in studies:
        if not study.sweeps_of(size):
            raise ConfigError(f"{name} has no size={size}; expected one of {', '.join(_sizes(study))}")
    return _Asked(
        studies,
        size,
        Path(own.get("out", "outputs/studies")),
        Path(own["publish"]) if "publish" in own else None,
        "commits" in own,
        tuple(overrides),
        run,
    )


def _study(name: str, study: Study, asked: _Asked) -> int:
    """Run one study and write its table; return the exit code of its runs."""
    folder = asked.out / name / asked.size
    if not asked.any_commit:
        runs.refuse_other_commits(runs.collect(study, asked.size, folder).commits(), commit(), folder, "out")
    if asked.publish is not None:
        _restore(asked.publish / name, study, asked, folder)
    code = runs.execute(study, asked.size, folder, asked.overrides) if asked.run else 0
    found = runs.collect(study, asked.size, folder)
    if not found.all_completed():
        print(f"{name}: no run of size={asked.size} has completed in {folder}", file=sys.stderr)
        return code or DataError.exit_code
    command = shlex.join(["python", "-m", "hfvae_runner.reproduce", name, f"size={asked.size}", *asked.overrides])
    content = results.results(name, found, _machine(), command)
    picture = _picture(found)
    _write(folder, content, picture)
    if asked.publish is not None:
        _write(asked.publish / name, content, picture)
        if (lines := published.lines(found)) is not None:
            write_atomic(asked.publish / name / published.FILE, lines)
    print(page.page(content))
    return code


def _restore(place: Path, study: Study, asked: _Asked, folder: Path) -> None:
    """Copy the published runs that are missing into the study's folder."""
    known = published.read(place, study, asked.size)
    if not asked.any_commit:
        runs.refuse_other_commits(runs.counted_commits(run.metrics for run in known), commit(), place, "publish")
    if count := published.restore(known, folder):
        print(f"{folder}: {count} runs restored from {place}", file=sys.stderr)


def _write(place: Path, content: dict[str, object], picture: bytes | None) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{place} cannot be written: {error.strerror}; expected a folder that can") from error
    if picture is not None:
        write_atomic(place / FIGURE, picture)
    write_atomic(place / PAGE, page.page(content))
    write_atomic(place / STUDY, strict_json(content, STUDY, indent=1) + "\n")
    print(f"{place}: {STUDY}, {FIGURE}, {PAGE}", file=sys.stderr)


def _picture(found: runs.Found) -> bytes | None:
    # matplotlib takes half a second to import.
    from hfvae_runner.reproduce.figures import figure

    drawn = figure(found)
    if drawn is None:
        return None
    stream = io.BytesIO()
    drawn.savefig(stream, format="png", dpi=_DPI)
    return stream.getvalue()


def _write_overview(folder: Path) -> None:
    known = [results.load(path) for path in sorted(folder.glob(f"*/{STUDY}"))]
    write_atomic(folder / PAGE, page.overview(known))
    print(f"{folder / PAGE}: a table over {len(known)}", file=sys.stderr)


def _machine() -> str:
    """Name the processor, its cores and the operating system."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = named[0] if named else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {model}, {platform.system()}, Python {platform.python_version()}"

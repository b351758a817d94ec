"""Measures the time and memory of a report over as many runs as a study has, and the size of its page.

    python scripts/bench_report.py [RUNS ...] [--search] [--run FOLDER] [--open]

For each number of runs (1,500 and 10,000 by default), that many run folders are written to a temporary folder, like
those of a sweep over six objectives, six strengths, seven data sets and the seeds; with ``--search``, like those of a
random search, in which every run is a setting of its own. Config, results and figures are copies of one run: the one in
``--run``, else a short run of the default objective, which is trained first. Its numbers are varied by a few percent
from run to run; its figures are linked. Then ``python -m hfvae_runner.report`` runs twice.

    first    seconds of the process over folders that it has never read
    again    seconds of the process if nothing has changed since
    MB       the peak memory (10^6 bytes) of any of its processes, the first time and again
    page     the size of report.html in MB
    open     with ``--open``, seconds until a Chromium on this machine has loaded the page and drawn it
"""

import argparse
import copy
import hashlib
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

# Use this checkout's package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import yaml

from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, DataError, RunnerError

ROOT = Path(__file__).resolve().parents[1]
OBJECTIVES = ("beta_vae", "beta_tcvae", "factor_vae", "dip_vae_i", "dip_vae_ii", "hfvae")
STRENGTHS = (1, 2, 4, 6, 8, 16)
DATASETS = ("dsprites", "faces3d", "cars3d", "chairs", "mnist", "fashion_mnist", "celeba")
_SPREAD = 0.05
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Measured(NamedTuple):
    """A process's wall time in seconds, and the peak memory in bytes of it or one of its child processes."""

    seconds: float
    peak: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 0, or 2 if an argument cannot be used or a command fails."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=int, metavar="RUNS", help="how many; 1500 and 10000 by default")
    parser.add_argument("--search", action="store_true", help="every run is a setting of its own")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="a completed run with figures, to be repeated")
    parser.add_argument("--open", action="store_true", help="open the page in Chromium, by playwright")
    options = parser.parse_args(arguments)
    try:
        _measure(options.runs or [1500, 10_000], options.search, options.run, options.open)
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _measure(sizes: Sequence[int], search: bool, run: Path | None, opened: bool) -> None:
    """Print the table.

    Raises:
        RunnerError: a number, the run or the browser cannot be used, or a command fails.
    """
    if least := [size for size in sizes if size < 1]:
        raise ConfigError(f"{least[0]} runs cannot be reported on; expected 1 or more")
    browser = _browser() if opened else None
    print(f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}")
    head = f"{'runs':>7}{'first s':>9}{'again s':>9}{'first MB':>10}{'again MB':>10}{'page MB':>9}"
    print(head + (f"{'open s':>8}" if browser else ""), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench_report_") as scratch:
        template = run or _trained(Path(scratch) / "run")
        for size in sizes:
            home = Path(scratch) / "study"
            make(home, size, template, search)
            first, again = reported(home), reported(home)
            page = home / "report.html"
            line = f"{size:>7}{first.seconds:>9.1f}{again.seconds:>9.1f}"
            line += f"{first.peak / 1e6:>10.0f}{again.peak / 1e6:>10.0f}{page.stat().st_size / 1e6:>9.1f}"
            print(line + (f"{_opening(browser, page):>8.1f}" if browser else ""), flush=True)
            shutil.rmtree(home)


def _trained(folder: Path) -> Path:
    print("training the run that is repeated", file=sys.stderr, flush=True)
    _command("hfvae_runner", "steps=20", f"hydra.run.dir={folder}")
    return folder


def reported(home: Path) -> Measured:
    """Measure a report on the runs below ``home``, in a separate process.

    Raises:
        DataError: the report fails.
    """
    return _command("hfvae_runner.report", str(home))


def _command(module: str, *arguments: str) -> Measured:
    command = [sys.executable, "-m", module, *arguments]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=said, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise DataError(f"{' '.join(command[1:])} ended with exit code {process.returncode}: {last}")
    # In bytes on macOS, else in kilobytes.
    return Measured(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def make(home: Path, runs: int, template: Path, search: bool) -> None:
    """Write the given number of run folders below ``home``, each with the template's content and varied numbers.

    Raises:
        DataError: the template is not a completed run with figures.
    """
    try:
        config = yaml.safe_load((template / "config.yaml").read_bytes())
        metrics = json.loads((template / "metrics.json").read_bytes())
        pictures = sorted((template / "figures").iterdir())
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read; expected a completed run with figures") from None
    generator = np.random.default_rng(0)
    # Copied once, since hard links do not cross file systems.
    store = home.with_name("pictures")
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir(parents=True)
    pictures = [Path(shutil.copy(path, store)) for path in pictures]
    for changes in itertools.islice(_searched(generator) if search else _grid(), runs):
        folder = home / "sweep" / _name(changes)
        (folder / "figures").mkdir(parents=True)
        (folder / "checkpoints").mkdir()
        own = copy.deepcopy(config)
        for key, value in changes.items():
            (own["choices"] if key in own["choices"] else own)[key] = value
        own["objective"]["terms"]["group_tc"] = changes["beta"]
        # As a run writes it; yaml.CSafeDumper takes a tenth of the time.
        (folder / "config.yaml").write_text(yaml.dump(own, Dumper=_DUMPER, sort_keys=False), encoding="utf-8")
        content = json.dumps(_varied(metrics, generator), indent=1, ensure_ascii=False)
        (folder / "metrics.json").write_text(content, encoding="utf-8")
        for picture in pictures:
            os.link(picture, folder / "figures" / picture.name)


_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _grid() -> Iterator[dict[str, object]]:
    for seed in itertools.count():
        for dataset, objective, beta in itertools.product(DATASETS, OBJECTIVES, STRENGTHS):
            yield {"beta": beta, "dataset": dataset, "objective": objective, "seed": seed}


def _searched(generator: np.random.Generator) -> Iterator[dict[str, object]]:
    for run in itertools.count():
        beta, lr = (float(np.exp(generator.uniform(*np.log(range_)))) for range_ in ((1, 16), (1e-4, 1e-2)))
        yield {"beta": beta, "lr": lr, "objective": OBJECTIVES[run % len(OBJECTIVES)], "seed": 0}


def _name(changes: dict[str, object]) -> str:
    """Return a name of the form that a sweep gives its jobs."""
    text = "_".join(f"{key}-{value}" for key, value in changes.items())
    return f"{text}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _varied(value: object, generator: np.random.Generator) -> object:
    """Return the content with every float changed by a few percent."""
    if isinstance(value, dict):
        return {key: _varied(inner, generator) for key, inner in value.items()}
    if isinstance(value, list):
        return [_varied(inner, generator) for inner in value]
    return value * (1 + _SPREAD * generator.standard_normal()) if isinstance(value, float) else value


def _browser() -> str:
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise ConfigError(f"there is no browser for --open; expected one of {', '.join(_BROWSERS)} on the path")
    return found


def _opening(browser: str, page: Path) -> float:
    """Return the seconds until the page is loaded and drawn, without the start of the browser."""
    from playwright.sync_api import sync_playwright

    # Chromium's sandbox does not run as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=arguments).new_page()
        start = time.perf_counter()
        window.goto(page.as_uri())
        window.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(exit_code_of(main))

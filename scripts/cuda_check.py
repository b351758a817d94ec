"""Runs what a GPU has to show, and prints a table: ``bash scripts/cuda_check.sh``.

The part ``right`` runs the tests that need a GPU, the first command of the README, every objective eager, recorded, in
tf32 and in bf16, a stack of runs, the loss of one step against the CPU's, resumes, and the metrics of one run on both
devices. The part ``fast`` runs the benchmarks of training, of log q(z) and of stacks, and a whole evaluation of
rendered dSprites. Each check is a process of its own with a time limit; a failure does not stop the others.

The output of each is FOLDER/NAME.log, the table FOLDER/summary.md. ``--device cpu`` tries the script where there is no
GPU: what needs one is left out.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
OBJECTIVES = sorted(path.stem for path in (ROOT / "conf" / "objective").glob("*.yaml"))
_SMALL = ("metrics=hoyer", "metrics.figures=false", "train.progress=false")
_TOLERANCE = 1e-3
"""Largest relative difference of a metric between devices."""


class Failed(Exception):
    """A check did not pass; its text says why."""


@dataclass(frozen=True)
class Place:
    """Where the checks run.

    Attributes:
        out: the folder of their output, absolute.
        device: ``cuda`` or ``cpu``.
    """

    out: Path
    device: str

    def run(self, log: str, command: Sequence[str], limit: float) -> str:
        """Run a command in the output's folder and return what it printed.

        Raises:
            Failed: its exit code is not 0, or it ran longer than ``limit`` seconds.
        """
        with (self.out / f"{log}.log").open("a", encoding="utf-8") as stream:
            stream.write(f"$ {' '.join(command)}\n")
            stream.flush()
            start = stream.tell()
            try:
                # This checkout's package, installed or not.
                environment = {
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                }
                done = subprocess.run(
                    command, cwd=self.out, env=environment, stdout=stream, stderr=subprocess.STDOUT, timeout=limit,
                    check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise Failed(f"longer than {limit:.0f} s: {' '.join(command)[:80]}") from None
        printed = (self.out / f"{log}.log").read_text(encoding="utf-8")[start:]
        if done.returncode:
            lines = printed.strip().splitlines()
            raise Failed(f"exit code {done.returncode}: {lines[-1][:120] if lines else 'no output'}")
        return printed

    def train(self, log: str, *overrides: str, limit: float = 120.0) -> str:
        """Train with the command line on the device."""
        return self.run(log, [PYTHON, "-m", "hfvae_runner", *overrides, f"device={self.device}"], limit)


def tests(place: Place) -> str:
    """Run the tests that need a GPU."""
    command = [PYTHON, "-m", "pytest", "-q", "-n0", "-m", "gpu", "-p", "no:cacheprovider", str(ROOT / "tests")]
    return place.run("tests", command, 240).strip().splitlines()[-1]


def first_run(place: Place) -> str:
    """Train the mission's example as a user types it."""
    place.train("first_run", "objective=hfvae", "beta=12", "gamma=4", "hydra.run.dir=first_run")
    run = _metrics(place.out / "first_run")["run"]
    return f"{run['examples_per_second']:,.0f} examples/s on {run['device']}"


def modes(place: Place) -> str:
    """Train every objective for some steps, in each way that the device has."""
    ways: dict[str, list[str]] = {"eager": []}
    if place.device == "cuda":
        ways |= {"graph": ["runtime.graph=true"], "tf32": ["precision=tf32"], "bf16": ["precision=bf16"]}
    plain = [name for name in OBJECTIVES if not name.startswith("ada_")]
    pairs = [name for name in OBJECTIVES if name.startswith("ada_")]
    failed = []
    for way, overrides in ways.items():
        for names, more in ((plain, []), (pairs, ["dataset.pairs={column: label}"])):
            sweep = ["-m", f"objective={','.join(names)}", *more, *overrides, "steps=20", *_SMALL]
            try:
                place.train(f"modes_{way}", *sweep, f"hydra.sweep.dir=modes_{way}", limit=240)
            except Failed as error:
                failed.append(f"{way}: {error}")
    if failed:
        raise Failed("; ".join(failed))
    return f"{len(OBJECTIVES)} objectives, {', '.join(ways)}"


def stacked(place: Place) -> str:
    """Train a stack of runs with different seeds and weights."""
    sweep = ["-m", "objective=hfvae", "beta=1,4", "seed=0,1,2,3", "steps=50", "hydra/launcher=stacked", *_SMALL]
    place.train("stacked", *sweep, "hydra.sweep.dir=stacked")
    return f"{sum(1 for _ in (place.out / 'stacked').glob('*/metrics.json'))} runs"


def same_loss(place: Place) -> str:
    """Compare the loss of one step with the CPU's."""
    printed = place.run("same_loss", [PYTHON, "-m", "scripts._bench.same_numbers", place.device, *OBJECTIVES], 200)
    return printed.strip().splitlines()[-1]


def resume(place: Place) -> str:
    """Stop and resume on the device, and go on with its checkpoint on the CPU."""
    for steps, folder in (("40", "whole"), ("20", "part")):
        place.train("resume", f"steps={steps}", *_SMALL, f"hydra.run.dir={folder}")
    shutil.copytree(place.out / "part", place.out / "elsewhere")
    place.run("resume", [PYTHON, "-m", "hfvae_runner", "resume=elsewhere", "steps=40", "device=cpu"], 120)
    place.train("resume", "resume=part", "steps=40")
    whole, part = (_numbers(_metrics(place.out / name)["test"]) for name in ("whole", "part"))
    apart = _largest_difference(whole, part)
    return "to the bit, and on the CPU" if apart == 0 else f"within {apart:.1e} of one run, and on the CPU"


def refused(place: Place) -> str:
    """Ask for more memory than the GPU has."""
    asked = ["dataset=dsprites_rendered", "model=conv_standard64", "prior=normal", "objective=vae", "steps=1"]
    try:
        place.train("refused", *asked, "batch_size=737280", *_SMALL, "hydra.run.dir=refused")
    except Failed as error:
        if "exit code 2" in str(error) and "not enough memory" in str(error):
            return str(error)
        raise
    raise Failed("a batch of 737,280 images was trained; expected it to be refused")


def same_metrics(place: Place) -> str:
    """Measure one run on the device and on the CPU."""
    place.train("same_metrics", "steps=200", "metrics=default", "metrics.figures=false", "hydra.run.dir=here")
    shutil.copytree(place.out / "here", place.out / "there")
    for folder, device in (("here", place.device), ("there", "cpu")):
        command = [PYTHON, "-m", "hfvae_runner.evaluate", folder, "metrics=default", "metrics.exact_limit=1e9"]
        place.run("same_metrics", [*command, f"device={device}"], 120)
    here, there = (_numbers(_metrics(place.out / name)["test"]) for name in ("here", "there"))
    apart = _largest_difference(here, there)
    if not apart <= _TOLERANCE:
        raise Failed(f"a metric differs by {apart:.1e}; expected at most {_TOLERANCE:.0e}")
    return f"{len(here)} numbers within {apart:.1e}"


def training(place: Place) -> str:
    """Measure training against a plain loop, and stacks of runs."""
    script = [PYTHON, str(ROOT / "scripts" / "bench_train.py"), "--device", place.device]
    small = ["--settings", "hfvae_mnist", "--steps", "2", "--rounds", "1", "--stacked", "2"]
    full = ["--compile", "--rounds", "3", "--stacked", "1,8,64,512"]
    place.run("training", [*script, *(full if place.device == "cuda" else small)], 300)
    return "training.log"


def table(place: Place) -> str:
    """Measure log q(z) of a batch alone."""
    script = [PYTHON, str(ROOT / "scripts" / "bench_train.py"), "--table", "--rounds", "3", "--device", place.device]
    place.run("table", script, 120)
    return "table.log"


def evaluation(place: Place) -> str:
    """Train rendered dSprites for some steps and evaluate all 737,280 images."""
    own = ["dataset=dsprites_rendered", "prior=normal", "objective=beta_tcvae", "steps=10"]
    start = time.monotonic()
    place.train("evaluation", *own, "metrics=[mig,factor_vae_score]", "hydra.run.dir=evaluation", limit=240)
    trained = _metrics(place.out / "evaluation")["run"]["wall_seconds"]
    return f"{time.monotonic() - start:.0f} s, of which training {trained:.0f} s"


Check = Callable[[Place], str]
PARTS: Mapping[str, Sequence[Check]] = {
    "right": (tests, first_run, modes, stacked, same_loss, resume, refused, same_metrics),
    "fast": (training, table, evaluation),
}
NEED_GPU: Sequence[Check] = (tests, refused, table, evaluation)
"""Left out on the CPU, where they would show nothing or take too long."""


def check(place: Place, chosen: Sequence[Check]) -> Iterator[tuple[str, str, float, str]]:
    """Yield name, ``ok`` or ``FAILED``, seconds and result of each check."""
    for each in chosen:
        start = time.monotonic()
        try:
            result = "ok", each(place)
        except Failed as error:
            result = "FAILED", str(error)
        yield each.__name__, result[0], time.monotonic() - start, result[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks; return 1 if one failed."""
    every = {each.__name__: each for part in PARTS.values() for each in part}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "outputs")) / "cuda_check")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}; all by default")
    parser.add_argument("--only", help=f"some of {', '.join(every)}, in place of the parts")
    given = parser.parse_args(arguments)
    of_parts = [each.__name__ for part in given.parts.split(",") for each in PARTS.get(part, ())]
    names = given.only.split(",") if given.only else of_parts
    if unknown := [part for part in given.parts.split(",") if part not in PARTS]:
        parser.error(f"--parts {unknown[0]}: expected some of {', '.join(PARTS)}")
    if unknown := [name for name in names if name not in every]:
        parser.error(f"--only {unknown[0]}: expected some of {', '.join(every)}")
    chosen = [every[name] for name in names if given.device == "cuda" or every[name] not in NEED_GPU]
    place = Place(given.out.resolve(), given.device)
    if place.out.exists() and any(place.out.iterdir()):
        parser.error(f"--out {place.out}: expected a new folder")
    place.out.mkdir(parents=True, exist_ok=True)
    rows = ["| check | | s | result |", "|---|---|---|---|"]
    for name, state, seconds, result in check(place, chosen):
        rows.append(f"| {name} | {state} | {seconds:.0f} | {result.replace('|', '/')} |")
        print(rows[-1], flush=True)
        (place.out / "summary.md").write_text("\n".join([*rows, ""]), encoding="utf-8")
    print("\n".join(["", *rows]))
    return int(any("| FAILED |" in row for row in rows))


def _metrics(folder: Path) -> dict[str, dict[str, object]]:
    try:
        content: dict[str, dict[str, object]] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise Failed(f"{folder.name} has no results: {error.strerror}") from None
    return content


def _numbers(content: object, place: str = "") -> dict[str, float]:
    """Return all numbers of nested mappings by their place."""
    if isinstance(content, Mapping):
        found = (_numbers(inner, f"{place}/{key}") for key, inner in content.items())
        return {name: value for each in found for name, value in each.items()}
    return {place: float(content)} if isinstance(content, int | float) and not isinstance(content, bool) else {}


def _largest_difference(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    if one.keys() != other.keys():
        return math.inf
    return max((abs(one[key] - other[key]) / max(1.0, abs(one[key])) for key in one), default=math.inf)


if __name__ == "__main__":
    sys.exit(main())

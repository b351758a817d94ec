"""Measures the speed of training against a plain loop and against the matrix products alone, and of stacked runs.

    python scripts/bench_train.py [--settings NAME,...] [--steps N] [--rounds 7] [--threads 2] [--rows 50000]
                                  [--stacked 1,8,64] [--compile] [--table] [--start] [--layouts] [--pairs]

The settings are the five papers' main experiments, except that the α-β paper's shapes have a batch of 64. The plain
loop and ours train on the same ``--rows`` examples: MNIST and dSprites from $HFVAE_DATA (else data/) if they exist,
else random bytes in MNIST's format, and sprites that the program draws.

    plain loop   scripts/_bench/plain.py: the same networks, losses equal to ours, DataLoader, whole table, plain Adam
    fp32, …      a run's own steps by precision; with --compile also compiled; on CUDA also recorded as a graph
    products     the step's matrix products alone (scripts/_bench/floor.py), by precision; the products of a run's own
                 precision also by torch's functions

    ex/s         examples per second
    ratio        to the plain loop's, in the same round: median [least, most]
    floor        the share of the time that the products of the same precision take alone, in the same round
    MB           peak memory of data, parameters, optimiser and steps (on CUDA, memory of the device)

In a round each way takes some steps in turn, so that other load of the machine affects all of them alike. After that,
stacked runs of HFVAE on MNIST, with batches of 64 and different seeds, are compared with runs one after another.

The following options replace all of this. ``--table`` measures log q(z) of a batch alone, ``--start`` the time of a
command to its first step, and ``--layouts`` the gain of channels-last weights of convolutions. ``--pairs`` runs a
command alone, then twice at once: it prints the examples per second of both against those of one, and under ``command``
the time of both one after another over their time at once; with the program's setting of how OpenMP's threads wait
(hfvae_runner/openmp.py), and with libgomp's default or the numbers of turns in ``--spins``. The command has the
defaults; with ``--settings``, those are measured as well.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

# Use this checkout's package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from _bench import aggregates, layouts, memory, pairs, start, ways
from _bench.settings import SETTINGS, Data, config_of

from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, RunnerError, nearest

_STACKED = "hfvae_mnist"
_STACKED_BATCH = 64
_ALONE = "one alone"
_TABLE_BATCH, _TABLE_LARGEST = 2048, 16_384


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; return 0, 2 if an argument or the data cannot be used, or a failed command's exit code."""
    options = _parser().parse_args(arguments)
    try:
        names = _settings(options.settings)
        with tempfile.TemporaryDirectory(prefix="bench_train_") as scratch:
            data = Data.here(options.rows, Path(scratch))
            print(_machine(options.threads), flush=True)
            if options.table or options.start or options.layouts or options.pairs:
                _print_parts(options, names, data)
            else:
                _print_settings(options, names, data)
                _print_stacked(options, data)
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


def _parser() -> argparse.ArgumentParser:
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--settings", help=f"names, separated by commas, or none; all by default: {', '.join(SETTINGS)}"
    )
    parser.add_argument("--steps", type=_count, help="of each contestant in a round; each setting's own by default")
    parser.add_argument("--rounds", type=_count, default=7)
    parser.add_argument("--threads", type=_count, default=torch.get_num_threads(), help="of the CPU")
    parser.add_argument("--rows", type=_count, default=50_000, help="training examples, for both sides")
    parser.add_argument(
        "--stacked", type=_counts, default=[1, 8, 64], help="how many runs at once; 0 for no such table"
    )
    parser.add_argument("--compile", action="store_true", help="ours compiled, too, which takes a minute for each")
    parser.add_argument("--table", action="store_true", help="what log q(z) of a batch costs, and nothing else")
    parser.add_argument("--start", action="store_true", help="how long a command takes to its first step, likewise")
    parser.add_argument("--layouts", action="store_true", help="channels-last against contiguous, likewise")
    parser.add_argument("--pairs", action="store_true", help="two commands at once against one, likewise")
    parser.add_argument(
        "--spins", type=_counts, default=[pairs.LIBGOMP], help="with --pairs: numbers of turns to compare with"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 1 on")
    return value


def _counts(text: str) -> list[int]:
    return [] if text == "0" else [_count(each) for each in text.split(",")]


def _settings(given: str | None) -> list[str]:
    names = list(SETTINGS) if given is None else [] if given == "none" else given.split(",")
    for name in names:
        if name not in SETTINGS:
            known = ", ".join(SETTINGS)
            raise ConfigError(f"there is no setting {name!r}; expected some of {known}{nearest(name, SETTINGS)}")
    return names


def _machine(threads: int) -> str:
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no CUDA device"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({platform.machine()}), {threads} threads{gpu}, {versions}"


def _print_settings(options: argparse.Namespace, names: Sequence[str], data: Data) -> None:
    known = ways.ways(torch.device(options.device), compiled=options.compile)
    for name in names:
        for line in setting_lines(name, known, _overrides(name, options, data), options.steps, options.rounds):
            print(line, flush=True)
        print(f"({options.rows:,} examples of {data.said(name)})\n", flush=True)


def _overrides(name: str, options: argparse.Namespace, data: Data) -> list[str]:
    return [*data.overrides(name), f"threads={options.threads}", f"device={options.device}"]


def setting_lines(
    name: str, known: dict[str, ways.Way], overrides: Sequence[str], steps: int | None, rounds: int
) -> list[str]:
    """Measure a setting, and return the lines of its table.

    Raises:
        RunnerError: the setting cannot run here.
    """
    config = config_of(name, overrides)
    turns = {title: ways.turn_of(name, way, overrides) for title, way in known.items()}
    for precision in dict.fromkeys(way.precision for way in known.values()):
        turns[_products(precision)] = ways.products_of(config_of(name, [*overrides, f"precision={precision}"]))
    turns[f"{_products(config.precision)}, torch's"] = ways.products_of(config, by_torch=True)
    seconds = ways.measured(turns, steps=steps or SETTINGS[name].steps, rounds=rounds)
    lines = [f"{SETTINGS[name].title:<34}{'ex/s':>10}{'ratio':>8}   {'[least, most]':<16}{'floor':>7}{'MB':>9}"]
    for title in turns:
        own = seconds[title]
        line = f"  {title:<32}{config.batch_size / median(own):>10,.0f}"
        if title in known:
            middle, least, most = ways.ratio(seconds[ways.PLAIN], own)
            share, *_ = ways.ratio(seconds[_products(known[title].precision)], own)
            peak = memory.peak_in_own_process(name, known[title], overrides)
            line += f"{middle:>8.2f}   {f'[{least:.2f}, {most:.2f}]':<16}{share:>7.2f}{aggregates.said(peak):>9}"
        lines.append(line)
    return lines


def _products(precision: str) -> str:
    return f"products, {precision}"


def _print_stacked(options: argparse.Namespace, data: Data) -> None:
    if not options.stacked:
        return
    overrides = [*_overrides(_STACKED, options, data), f"batch_size={_STACKED_BATCH}"]
    head = f"HFVAE MNIST, MLP, B={_STACKED_BATCH}, stacked"
    print(f"{head:<34}{'ex/s':>10}{'ratio':>8}   [least, most]    to as many runs one after another", flush=True)
    for runs in options.stacked:
        for line in stacked_lines(runs, overrides, options.device, options.steps or 20, options.rounds):
            print(line, flush=True)


def stacked_lines(runs: int, overrides: Sequence[str], device: str, steps: int, rounds: int) -> list[str]:
    """Measure stacked runs (on CUDA also recorded as a graph) against one run alone, in turns; return the lines.

    Raises:
        RunnerError: the runs cannot run here.
    """
    title = f"{runs} runs" if runs > 1 else "1 run"
    kinds = {title: (), f"{title}, graph": (ways.GRAPH,)} if device == "cuda" else {title: ()}
    turns = {_ALONE: ways.together([config_of(_STACKED, [*overrides, "seed=0"])])}
    for kind, own in kinds.items():
        turns[kind] = ways.together([config_of(_STACKED, [*overrides, *own, f"seed={n}"]) for n in range(runs)])
    seconds = ways.measured(turns, steps=steps, rounds=rounds)
    lines = []
    for kind in kinds:
        middle, least, most = ways.ratio([runs * each for each in seconds[_ALONE]], seconds[kind])
        rate = runs * _STACKED_BATCH / median(seconds[kind])
        lines.append(f"  {kind:<32}{rate:>10,.0f}{middle:>8.2f}   [{least:.2f}, {most:.2f}]")
    return lines


def _print_parts(options: argparse.Namespace, names: Sequence[str], data: Data) -> None:
    if options.table:
        batches = (_TABLE_BATCH,)
        for line in aggregates.lines(options.device, options.threads, options.rounds, batches, _TABLE_LARGEST):
            print(line, flush=True)
    if options.start:
        commands = _commands(names, options, data)
        for line in start.lines(commands, options.rounds):
            print(line, flush=True)
    if options.pairs:
        extent = [f"steps={options.steps or 300}", "train.log_every=20", "metrics=hoyer", "metrics.figures=false"]
        commands = _commands(names if options.settings else (), options, data)
        commands = {title: [*own, *extent] for title, own in commands.items()}
        for line in pairs.lines(commands, options.rounds, options.spins):
            print(line, flush=True)
    if options.layouts:
        machine = [f"threads={options.threads}", f"device={options.device}"]
        for line in layouts.lines(machine, options.steps or 3, options.rounds):
            print(line, flush=True)


def _commands(names: Sequence[str], options: argparse.Namespace, data: Data) -> dict[str, list[str]]:
    """Return the overrides of the command with the defaults, and of each of the settings, by title."""
    commands = {"the defaults": [f"threads={options.threads}", f"device={options.device}"]}
    for name in names:
        own = SETTINGS[name].overrides
        commands[SETTINGS[name].title] = [f"+experiment={name}", *own, *_overrides(name, options, data)]
    return commands


if __name__ == "__main__":
    sys.exit(exit_code_of(main))

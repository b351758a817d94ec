"""Measures the memory of each data set, the time until a run's first batch, and the speed of its batches.

    python scripts/data_cost.py [NAME ...] [--synthetic] [--data-root FOLDER]

Published files are used if they exist. With ``--synthetic``, a missing set is written in its published size and format
with synthetic content: sprites as ``dsprites_rendered`` draws them, blots of colour, random bytes and words; most of
the files of ``cars3d``, ``chairs``, ``celeba`` and ``image_folder`` are hard links to a few, and ``shapes3d`` and
``mpi3d`` repeat some thousand images. Checksums do not prevent this: they are checked for downloads only, and an
existing file is used as it is. A user's own data, 100,000 images or rows, are always written. All files are written to
a temporary folder (below $TMPDIR), up to 2.6 GB for one set, with the converted copy of ``shapes3d`` 6 GB, of ``mpi3d``
13 GB, and removed after the set. Of ``mpi3d`` the default version is measured.

Every number is from a new process. ``cold`` has only the published files, and converts them; ``warm`` uses the files
that ``cold`` has converted. In both states the files are mostly in the system's disk cache.

    held        bytes of the data set's tensors, of which some may be in mapped files; images that are read from a file
                batch by batch do not count
    resident    growth of the process after loading the set (warm), without imports
    mapped      the part of the growth that is backed by a file, so that the system can reclaim it
    peak        peak growth of the process until the first batch
    seconds     from the composed config to the first batch on the CPU, without imports
    examples/s  in batches that are gathered on the CPU as in training, without a model, for ten seconds (warm)
    peak after  peak growth of the process after these batches

Memory is in MB (10^6 bytes), or ``–`` if the system has no /proc.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

# Use this checkout's package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from _bench import data_files
from _bench.data_files import module_of, section_of
from torch import Tensor

from hfvae_runner.config import schema
from hfvae_runner.console import exit_code_of
from hfvae_runner.data import Dataset, PackedBits, SparseCounts, _places
from hfvae_runner.data._examples import Drawn, Rows
from hfvae_runner.data._fetch import RemoteFile
from hfvae_runner.errors import ConfigError, DataError, RunnerError, nearest
from hfvae_runner.launch.composition import composed, config_folder, quoted
from hfvae_runner.training.batches import Batches

BATCHES_FOR = 10.0
"""Seconds for which batches are gathered."""
_STATUS = Path("/proc/self/status")
_HEADER = (
    f"{'data set':<18}{'files':<12}{'examples':>18}{'held':>10}{'resident':>10}{'mapped':>9}"
    f"{'peak cold':>11}{'peak warm':>11}{'cold s':>9}{'warm s':>9}"
    f"{'examples/s':>12}{'peak after':>12}"
)


@dataclass(frozen=True)
class Cost:
    """Bytes and seconds of one data set in one state; None if the system has no /proc."""

    examples: str
    held: int
    resident: int | None
    mapped: int | None
    peak: int | None
    seconds: float
    rate: float
    peak_after: int | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 0, or 2 if a name is unknown or a data set cannot be loaded."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(names())}")
    parser.add_argument("--synthetic", action="store_true", help="write the sets that are not here, at full size")
    parser.add_argument(
        "--data-root",
        type=Path,
        default=Path(os.environ.get("HFVAE_DATA", "data")),
        metavar="FOLDER",
        help="where published files are looked for; by default $HFVAE_DATA, else data",
    )
    chosen = parser.parse_args(arguments)
    unknown = next((name for name in chosen.names if name not in names()), None)
    if unknown is not None:
        expected = f"expected some of {', '.join(names())}{nearest(unknown, names())}"
        return _told(ConfigError(f"there is no data set {unknown!r}; {expected}"))
    print(
        f"{os.cpu_count()} cores ({platform.machine()}), {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}; memory in MB"
    )
    print(_HEADER, flush=True)
    code = 0
    for name in chosen.names or names():
        try:
            print(row(name, chosen.data_root, synthetic=chosen.synthetic), flush=True)
        except RunnerError as error:
            code = _told(error)
    return code


def _told(error: RunnerError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code


def names() -> list[str]:
    """Return the names of all data sets on the command line."""
    return sorted(file.stem for file in (config_folder() / "dataset").glob("*.yaml"))


def row(name: str, data_root: Path, *, synthetic: bool) -> str:
    """Measure a data set, and return its line of the table.

    Raises:
        RunnerError: its files cannot be used or written, or it does not fit into memory.
    """
    standing = published(name, data_root)
    if standing is None and not (synthetic and name in data_files.WRITERS):
        return f"{name:<18}not here"
    with tempfile.TemporaryDirectory(prefix="data_cost_") as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        if standing is None:
            _progress(f"{name}: writing files of the published size")
            try:
                data_files.WRITERS[name](root)
            except OSError as error:
                reason = _places.why_not_written(error)
                raise DataError(f"{name} could not be written to {scratch}: {reason}; expected room there") from None
        else:
            link(standing, root)
        costs = []
        for state in ("cold", "warm"):
            _progress(f"{name}: {state}")
            costs.append(in_fresh_process(name, root, cache=Path(scratch) / "cache"))
    return _line(name, "synthetic" if standing is None else "published" if standing else "none", *costs)


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _line(name: str, files: str, cold: Cost, warm: Cost) -> str:
    held, resident, mapped, *peaks = map(_megabytes, (warm.held, warm.resident, warm.mapped, cold.peak, warm.peak))
    memory = f"{held:>10}{resident:>10}{mapped:>9}{peaks[0]:>11}{peaks[1]:>11}"
    return f"{name:<18}{files:<12}{warm.examples:>18}{memory}{cold.seconds:>9.2f}{warm.seconds:>9.2f}" + (
        f"{warm.rate:>12,.0f}{_megabytes(warm.peak_after):>12}"
    )


def _megabytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:,.1f}"


def published(name: str, data_root: Path) -> dict[str, Path] | None:
    """Return the paths of a data set's files by their names below ``data_root``; None if one is missing.

    The result is empty for a generated data set.
    """
    if name in data_files.OWN:
        return None
    found: dict[str, Path] = {}
    for file in _files(name):
        places = _places.places(data_root)
        standing = [(given, place / given) for given in _names(file) for place in places if (place / given).exists()]
        if not standing:
            return None
        found.update(standing[:1])
    return found


def _files(name: str) -> Sequence[RemoteFile]:
    """Return the files that a data set's default options read."""
    module = module_of(name)
    versions: Mapping[str, RemoteFile] = getattr(module, "VERSIONS", {})
    chosen = str(section_of(name).get("version"))
    return [versions[chosen]] if chosen in versions else getattr(module, "FILES", ())


def _names(file: RemoteFile) -> list[str]:
    """Return the names that a file may have, the preferred one first."""
    npz = [file.name.removesuffix(".hdf5") + ".npz"] if file.name.endswith(".hdf5") else []
    return [*npz, file.name, *([file.archive] if file.archive else [])]


def link(standing: Mapping[str, Path], root: Path) -> None:
    """Link the files below ``root``, which contains no files converted from them."""
    for given, file in standing.items():
        (root / given).parent.mkdir(parents=True, exist_ok=True)
        (root / given).symlink_to(file.resolve())


def in_fresh_process(name: str, root: Path, *, cache: Path) -> Cost:
    """Measure a data set in a new process, which uses ``cache`` instead of the user's cache folder.

    Raises:
        RunnerError: the files cannot be used, or the process was killed.
    """
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(_away_from_the_user, name, root, cache).result()
    except BrokenProcessPool:
        raise DataError(f"{name}: the process that loads it was killed; expected more memory, perhaps") from None


def _away_from_the_user(name: str, root: Path, cache: Path) -> Cost:
    os.environ["XDG_CACHE_HOME"] = str(cache)
    return measure(name, root)


def measure(name: str, root: Path) -> Cost:
    """Measure in this process loading a data set from ``root`` and taking the first batches of a run."""
    # Late, like the data sets' own modules: only some need torchvision, which takes seconds to import.
    from hfvae_runner.runs import assembly

    option, file = data_files.OWN.get(name, ("", ""))
    own = [f"dataset.{option}={quoted(str(root / file))}"] if option else []
    config = schema.parse(composed([f"dataset={name}", f"data_root={quoted(str(root))}", *own]))
    module_of(name)
    before = memory()
    start = time.perf_counter()
    dataset = assembly.dataset_of(config)
    loaded = memory()
    batches = Batches(dataset.train.x, config.batch_size, config.seed, weights=dataset.train.weights)
    batches.at(0)
    seconds = time.perf_counter() - start
    first = memory()
    rate = examples_per_second(batches)
    after = memory()
    test = "" if dataset.tested_on_train else f" + {len(dataset.test):,}"
    growth = {key: loaded[key] - before[key] for key in ("VmRSS", "RssFile") if key in before}
    peak, peak_after = (each["VmHWM"] - before["VmRSS"] if before else None for each in (first, after))
    memory_of = (held(dataset), growth.get("VmRSS"), growth.get("RssFile"), peak)
    return Cost(f"{len(dataset.train):,}{test}", *memory_of, seconds, rate, peak_after)


def examples_per_second(batches: Batches) -> float:
    """Gather the batches of successive steps for ``BATCHES_FOR`` seconds, and return the examples per second."""
    start, step = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < BATCHES_FOR or not step:
        step += 1
        batches.at(step)
    return step * batches.batch_size / passed


def memory() -> dict[str, int]:
    """Return the memory figures of this process from /proc, in bytes; empty if there is no /proc."""
    if not _STATUS.exists():
        return {}
    fields = (line.partition(":") for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines())
    return {key: 1024 * int(value.split()[0]) for key, _, value in fields if value.endswith(" kB")}


def held(dataset: Dataset) -> int:
    """Return the bytes of the data set's tensors, counting each storage once."""
    storages = [tensor.untyped_storage() for tensor in _tensors(dataset)]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _tensors(dataset: Dataset) -> Iterator[Tensor]:
    for split in (dataset.train, dataset.test):
        for part in (split.x, split.labels, split.factors, split.attributes, split.weights, split.magnitudes):
            yield from _tensors_of(part)


def _tensors_of(part: object) -> Iterator[Tensor]:
    """Yield the tensors of examples, however they are stored: ``Drawn`` has several parts."""
    if isinstance(part, Tensor):
        yield part
    elif isinstance(part, tuple):
        for each in part:
            yield from _tensors_of(each)
    elif isinstance(part, PackedBits | SparseCounts | Rows | Drawn):
        yield from _tensors_of(tuple(vars(part).values()))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))

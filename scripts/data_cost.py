"""Measures the memory of each data set, and the time until a run's first batch.

    python scripts/data_cost.py [NAME ...] [--synthetic] [--data-root FOLDER]

Published files are used if they exist. With ``--synthetic``, a missing set is written in its published size and format
with synthetic content: sprites as ``dsprites_rendered`` draws them, blots of colour, random bytes and words; most of
the files of ``cars3d``, ``chairs``, ``celeba`` and ``image_folder`` are hard links to a few. Checksums do not prevent
this: they are checked for downloads only, and an existing file is used as it is. A user's own data, 100,000 images or
rows, are always written. All files are written to a temporary folder (below $TMPDIR), up to 2.6 GB for one set, and
removed after the set.

Every number is from a new process. ``cold`` has only the published files, and converts them; ``warm`` uses the files
that ``cold`` has converted. In both states the files are mostly in the system's disk cache.

    held        bytes of the data set's tensors, of which some may be in mapped files that are read on use
    resident    growth of the process after loading the set (warm), without imports
    mapped      the part of the growth that is backed by a file, so that the system can reclaim it
    peak        peak growth of the process until the first batch
    seconds     from the composed config to the first batch on the CPU, without imports

Memory is in MB (10^6 bytes), or ``–`` if the system has no /proc.
"""

import argparse
import importlib
import os
import platform
import struct
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

# Use this checkout's package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor

from hfvae_runner.config import schema
from hfvae_runner.console import exit_code_of
from hfvae_runner.data import Dataset, PackedBits, SparseCounts, _places
from hfvae_runner.data._examples import Drawn, Rows
from hfvae_runner.data._fetch import RemoteFile
from hfvae_runner.errors import ConfigError, DataError, RunnerError, nearest
from hfvae_runner.launch.composition import composed, config_folder, quoted
from hfvae_runner.training.batches import Batches

OWN = {"arrays": ("file", "own.npz"), "image_folder": ("folder", "own"), "table": ("file", "own.csv")}
"""Of the data sets of a user's own files the option that names them, and the name that they have here."""
OWN_IMAGES, OWN_ROWS = 100_000, 100_000
IDX = {"train": 60_000, "t10k": 10_000}  # images in the parts of MNIST and of Fashion-MNIST
_STATUS = Path("/proc/self/status")
_HEADER = (
    f"{'data set':<18}{'files':<12}{'examples':>18}{'held':>10}{'resident':>10}{'mapped':>9}"
    f"{'peak cold':>11}{'peak warm':>11}{'cold s':>9}{'warm s':>9}"
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
    if standing is None and not (synthetic and name in WRITERS):
        return f"{name:<18}not here"
    with tempfile.TemporaryDirectory(prefix="data_cost_") as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        if standing is None:
            _progress(f"{name}: writing files of the published size")
            try:
                WRITERS[name](root)
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
    return f"{name:<18}{files:<12}{warm.examples:>18}{memory}{cold.seconds:>9.2f}{warm.seconds:>9.2f}"


def _megabytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:,.1f}"


def published(name: str, data_root: Path) -> dict[str, Path] | None:
    """Return the paths of a data set's files by their names below ``data_root``; None if one is missing.

    The result is empty for a generated data set.
    """
    if name in OWN:
        return None
    found: dict[str, Path] = {}
    for file in getattr(_module(name), "FILES", ()):
        places = _places.places(data_root)
        standing = [(given, place / given) for given in _names(file) for place in places if (place / given).exists()]
        if not standing:
            return None
        found.update(standing[:1])
    return found


def _names(file: RemoteFile) -> list[str]:
    """Return the names that a file may have, the preferred one first."""
    npz = [file.name.removesuffix(".hdf5") + ".npz"] if file.name.endswith(".hdf5") else []
    return [*npz, file.name, *([file.archive] if file.archive else [])]


def _module(name: str) -> ModuleType:
    config = yaml.safe_load((config_folder() / "dataset" / f"{name}.yaml").read_text(encoding="utf-8"))
    return importlib.import_module(config["dataset"]["_target_"].rpartition(".")[0])


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
    """Measure in this process loading a data set from ``root`` and taking the first batch of a run."""
    # Late, like the data sets' own modules: only some need torchvision, which takes seconds to import.
    from hfvae_runner.runs import assembly

    own = [f"dataset.{OWN[name][0]}={quoted(str(root / OWN[name][1]))}"] if name in OWN else []
    config = schema.parse(composed([f"dataset={name}", f"data_root={quoted(str(root))}", *own]))
    _module(name)
    before = memory()
    start = time.perf_counter()
    dataset = assembly.dataset_of(config)
    loaded = memory()
    Batches(dataset.train.x, config.batch_size, config.seed, weights=dataset.train.weights).at(0)
    seconds = time.perf_counter() - start
    after = memory()
    test = "" if dataset.tested_on_train else f" + {len(dataset.test):,}"
    growth = {key: loaded[key] - before[key] for key in ("VmRSS", "RssFile") if key in before}
    peak = after["VmHWM"] - before["VmRSS"] if before else None
    memory_of = (held(dataset), growth.get("VmRSS"), growth.get("RssFile"), peak)
    return Cost(f"{len(dataset.train):,}{test}", *memory_of, seconds)


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


def write_idx(folder: str, root: Path) -> None:
    generator = np.random.default_rng(0)
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for part, n in IDX.items():
        labels = (np.arange(n) % 10).astype(np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, n, 28, 28) + generator.bytes(n * 784))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, n) + labels.tobytes())


def write_dsprites(root: Path) -> None:
    """Write the entries of the .npz file that are read, in parts, since the images take 3 GB."""
    from hfvae_runner.data import _render

    grid = _module("dsprites").GRID
    shapes, scales, angles, across, down = grid.sizes
    sprites = _render.masks(_render.SCALES[:scales], _render.ANGLES[:angles])[:shapes].reshape(-1, 64, 64)
    file = root / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("imgs.npy", "w", force_zip64=True) as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(grid), 64, 64)}
            np.lib.format.write_array_header_1_0(stream, header)
            for sprite in sprites.astype(np.uint8):
                padded = np.pad(sprite, ((down - 1, 0), (across - 1, 0)))
                by_place = np.lib.stride_tricks.sliding_window_view(padded, (64, 64))[::-1, ::-1]
                stream.write(by_place.transpose(1, 0, 2, 3).tobytes())
        classes = np.zeros((len(grid), 6), dtype=np.int64)
        classes[:, 1:] = grid.cells().numpy()
        with archive.open("latents_classes.npy", "w") as stream:
            np.lib.format.write_array(stream, classes, allow_pickle=False)


def write_faces3d(root: Path) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (*_module("faces3d").GRID.sizes, 64, 64), dtype=np.uint8)
    torch.save(torch.from_numpy(faces), root / "basel_face_renders.pth")


def write_cars3d(root: Path) -> None:
    from scipy.io import savemat

    generator = np.random.default_rng(0)

    def write(path: Path) -> None:
        views = np.stack([np.asarray(blots((128, 128), generator)) for _ in range(24 * 4)])
        images = views.reshape(24, 4, 128, 128, 3).transpose(2, 3, 4, 0, 1)
        savemat(path, {"im": images}, do_compression=True)

    cars = range(_module("cars3d").GRID.sizes[0])
    repeated([root / "cars" / f"car_{i + 1:03}_mesh.mat" for i in cars], write, distinct=4)


def write_chairs(root: Path) -> None:
    generator = np.random.default_rng(0)
    grid = _module("chairs").GRID
    _, elevations, azimuths = grid.sizes

    def write(path: Path) -> None:
        image = Image.new("RGB", (600, 600), "white")
        image.paste(blots((250, 350), generator), (175, 125))
        image.save(path)

    paths = []
    for i in range(len(grid)):
        chair, view = divmod(i, elevations * azimuths)
        elevation, azimuth = divmod(view, azimuths)
        name = f"image_{view + 1:03}_p{20 + 10 * elevation:03}_t{11 + 11 * azimuth:03}_r096.png"
        paths.append(root / "rendered_chairs" / f"{chair:032x}" / "renders" / name)
    repeated(paths, write, distinct=elevations * azimuths)


def write_celeba(root: Path) -> None:
    generator = np.random.default_rng(0)
    folder = root / "celeba"
    paths = [folder / "img_align_celeba" / f"{i + 1:06}.jpg" for i in range(_module("celeba").IMAGES)]
    repeated(paths, lambda path: blots((178, 218), generator).save(path), distinct=300)
    signs = generator.choice(["-1", " 1"], (len(paths), 40))
    rows = (f"{path.name} {' '.join(row)}" for path, row in zip(paths, signs, strict=True))
    attributes = " ".join(f"Attribute_{a}" for a in range(40))
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(len(paths)), attributes, *rows]) + "\n")
    # The published parts in order: 162,770 for training, 19,867 for validation, 19,962 for testing.
    parts = np.digitize(np.arange(len(paths)) / len(paths), np.array([162_770, 182_637]) / 202_599)
    lines = (f"{path.name} {part}\n" for path, part in zip(paths, parts, strict=True))
    (folder / "list_eval_partition.txt").write_text("".join(lines))


def write_newsgroups20(root: Path) -> None:
    """Write messages of 350 words from a vocabulary of 60,000, whose frequencies follow Zipf's law."""
    from hfvae_runner.data import _newsgroups

    generator = np.random.default_rng(0)
    words = np.array(["".join(chr(97 + rank // 26**place % 26) for place in range(4)) for rank in range(60_000)])
    cumulative = (1 / np.arange(1, len(words) + 1)).cumsum()
    with tarfile.open(root / "20news-bydate.tar.gz", "w:gz") as archive:
        for part, n in _newsgroups.MESSAGES.items():
            for i in range(n):
                drawn = words[np.searchsorted(cumulative, generator.random((35, 10)) * cumulative[-1])]
                text = "Subject: words\n\n" + "\n".join(map(" ".join, drawn))
                group = _newsgroups.GROUPS[i % len(_newsgroups.GROUPS)]
                member = tarfile.TarInfo(f"20news-bydate-{part}/{group}/{i}")
                member.size = len(text)
                archive.addfile(member, BytesIO(text.encode("ascii")))


def write_arrays(root: Path) -> None:
    """Colour images of 64×64 with six factors, not compressed."""
    generator = np.random.default_rng(0)
    shape = (OWN_IMAGES, 64, 64, 3)
    with zipfile.ZipFile(root / OWN["arrays"][1], "w") as archive:
        with archive.open("images.npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for start in range(0, OWN_IMAGES, 1000):
                stream.write(generator.bytes(min(1000, OWN_IMAGES - start) * int(np.prod(shape[1:]))))
        with archive.open("factors.npy", "w") as stream:
            np.lib.format.write_array(stream, generator.integers(10, size=(OWN_IMAGES, 6)), allow_pickle=False)


def write_image_folder(root: Path) -> None:
    """JPEG images of CelebA's size in ten classes."""
    generator = np.random.default_rng(0)
    paths = [root / OWN["image_folder"][1] / str(i % 10) / f"{i:06}.jpg" for i in range(OWN_IMAGES)]
    repeated(paths, lambda path: blots((178, 218), generator).save(path), distinct=300)


def write_table(root: Path) -> None:
    """Fifty columns of numbers, and ten classes."""
    columns = ",".join([*(f"value_{d}" for d in range(50)), "label"])
    values = np.random.default_rng(0).normal(size=(OWN_ROWS, 50))
    table = np.column_stack([values, np.arange(OWN_ROWS) % 10])
    np.savetxt(root / OWN["table"][1], table, fmt="%.6g", delimiter=",", header=columns, comments="")


def blots(size: tuple[int, int], generator: np.random.Generator) -> Image.Image:
    """Draw smooth blots of colour; as a JPEG of CelebA's size they take 7 kB, as its pictures do."""
    colours = generator.integers(0, 256, (16, 13, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)


def repeated(paths: Sequence[Path], write: Callable[[Path], None], *, distinct: int) -> None:
    """Write the first ``distinct`` files, and make the others hard links to them."""
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if i < distinct:
            write(path)
        else:
            os.link(paths[i % distinct], path)


WRITERS: Mapping[str, Callable[[Path], None]] = {
    "mnist": partial(write_idx, "MNIST"),
    "fashion_mnist": partial(write_idx, "FashionMNIST"),
    "dsprites": write_dsprites,
    "faces3d": write_faces3d,
    "cars3d": write_cars3d,
    "chairs": write_chairs,
    "celeba": write_celeba,
    "newsgroups20": write_newsgroups20,
    "arrays": write_arrays,
    "image_folder": write_image_folder,
    "table": write_table,
}


if __name__ == "__main__":
    sys.exit(exit_code_of(main))

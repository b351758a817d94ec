"""Writes data sets of the published size and format with synthetic content, for scripts/data_cost.py."""

import importlib
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import yaml
from PIL import Image

from hfvae_runner.launch.composition import config_folder

OWN = {"arrays": ("file", "own.npz"), "image_folder": ("folder", "own"), "table": ("file", "own.csv")}
"""Of the data sets of a user's own files the option that names them, and the name that they have here."""
OWN_IMAGES, OWN_ROWS = 100_000, 100_000
IDX = {"train": 60_000, "t10k": 10_000}  # images in the parts of MNIST and of Fashion-MNIST


def module_of(name: str) -> ModuleType:
    """Return the module of a data set's function."""
    return importlib.import_module(section_of(name)["_target_"].rpartition(".")[0])


def section_of(name: str) -> dict[str, str]:
    """Return a data set's section of its YAML file."""
    config = yaml.safe_load((config_folder() / "dataset" / f"{name}.yaml").read_text(encoding="utf-8"))
    section: dict[str, str] = config["dataset"]
    return section


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

    grid = module_of("dsprites").GRID
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
    faces = np.random.default_rng(0).integers(0, 256, (*module_of("faces3d").GRID.sizes, 64, 64), dtype=np.uint8)
    torch.save(torch.from_numpy(faces), root / "basel_face_renders.pth")


def write_shapes3d(root: Path) -> None:
    """Write the arrays as the publisher's program does, in HDF5's own chunks; one row of chunks is compressed."""
    import h5py

    grid = module_of("shapes3d").GRID
    with h5py.File(root / "3dshapes.h5", "w") as file:
        images = file.create_dataset("images", (len(grid), 64, 64, 3), "u1", chunks=True, compression="gzip")
        rows, height, width, channels = images.chunks
        distinct = rooms(rows)
        tiles = [(y, x, c) for y in range(0, 64, height) for x in range(0, 64, width) for c in range(0, 3, channels)]
        for y, x, c in tiles:
            tile = distinct[:, y : y + height, x : x + width, c : c + channels]
            # A chunk has its full size at the array's end, too.
            chunk = np.zeros(images.chunks, np.uint8)
            chunk[tuple(map(slice, tile.shape))] = tile
            compressed = zlib.compress(chunk.tobytes(), 4)
            for start in range(0, len(grid), rows):
                images.id.write_direct_chunk((start, y, x, c), compressed)
        values = [np.linspace(0, 0.9, 10)] * 3 + [np.linspace(0.75, 1.25, 8), np.arange(4.0), np.linspace(-30, 30, 15)]
        cells = grid.cells().long().numpy()
        file["labels"] = np.stack([of_factor[cells[:, k]] for k, of_factor in enumerate(values)], axis=1)


def write_mpi3d(root: Path) -> None:
    """Write the compressed array in parts, since it takes 12.7 GB."""
    n = len(module_of("mpi3d").GRID)
    distinct = rooms(min(n, 4096))
    with (
        zipfile.ZipFile(root / "mpi3d_toy.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("images.npy", "w", force_zip64=True) as stream,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": (n, 64, 64, 3)}
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, n, len(distinct)):
            stream.write(distinct[: n - start].data)


def rooms(count: int) -> np.ndarray:
    """Draw ``count`` images of a wall, a floor and an object, each in one colour, uint8 [count, 64, 64, 3]."""
    generator = np.random.default_rng(0)
    images = np.empty((count, 64, 64, 3), np.uint8)
    wall, floor, thing = generator.integers(0, 256, (3, count, 1, 1, 3), dtype=np.uint8)
    images[:, :40], images[:, 40:] = wall, floor
    for image, colour, size in zip(images, thing, generator.integers(8, 32, count), strict=True):
        image[50 - size : 50, 32 - size // 2 : 32 + size // 2] = colour
    return images


def write_cars3d(root: Path) -> None:
    from scipy.io import savemat

    generator = np.random.default_rng(0)

    def write(path: Path) -> None:
        views = np.stack([np.asarray(blots((128, 128), generator)) for _ in range(24 * 4)])
        images = views.reshape(24, 4, 128, 128, 3).transpose(2, 3, 4, 0, 1)
        savemat(path, {"im": images}, do_compression=True)

    cars = range(module_of("cars3d").GRID.sizes[0])
    repeated([root / "cars" / f"car_{i + 1:03}_mesh.mat" for i in cars], write, distinct=4)


def write_chairs(root: Path) -> None:
    generator = np.random.default_rng(0)
    grid = module_of("chairs").GRID
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
    paths = [folder / "img_align_celeba" / f"{i + 1:06}.jpg" for i in range(module_of("celeba").IMAGES)]
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
    "shapes3d": write_shapes3d,
    "mpi3d": write_mpi3d,
    "cars3d": write_cars3d,
    "chairs": write_chairs,
    "celeba": write_celeba,
    "newsgroups20": write_newsgroups20,
    "arrays": write_arrays,
    "image_folder": write_image_folder,
    "table": write_table,
}

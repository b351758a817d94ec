"""Small data sets in their publishers' formats, for the tests.

A set that is smaller than the published one is refused; ``shrink`` has the data-set modules expect the small ones.
"""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from hfvae_runner.data import cars3d, celeba, chairs, dsprites, faces3d, mpi3d, shapes3d, smallnorb

SIZES = {
    dsprites: (3, 2, 4, 3, 2),
    faces3d: (3, 2, 2, 3),
    cars3d: (2, 24, 4),
    chairs: (2, 2, 3),
    shapes3d: (2, 2, 1, 2, 4, 3),
    mpi3d: (2, 6, 2, 1, 2, 2, 2),
}
SMALLNORB_SIZES = (5, 10, 2, 3, 1)
CELEBA_PARTS = (0, 2, 0, 1, 0, 2, 0, 0, 1, 0, 2, 0)
CELEBA_ATTRIBUTES = ("Bald", "Smiling", "Young")


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the data-set modules expect sets of the sizes here."""
    for module, sizes in SIZES.items():
        monkeypatch.setattr(module, "GRID", replace(module.GRID, sizes=sizes))
    monkeypatch.setattr(celeba, "IMAGES", len(CELEBA_PARTS))
    monkeypatch.setattr(smallnorb, "FACTORS", replace(smallnorb.FACTORS, sizes=SMALLNORB_SIZES))


def random_bytes(*shape: int, below: int = 256, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, below, shape, dtype=np.uint8)


def dsprites_arrays() -> dict[str, np.ndarray]:
    """Images that are all different, and what the published file says of its factors."""
    sizes = (1, *dsprites.GRID.sizes)
    classes = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), axis=-1).reshape(-1, 6).astype(np.int64)
    images = random_bytes(len(classes), 64, 64, below=2)
    return {"imgs": images, "latents_classes": classes, "latents_values": classes / np.array(sizes)}


def write_dsprites(root: Path, kind: str = "npz", **changed: np.ndarray) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    arrays = dsprites_arrays() | changed
    file = root / f"dsprites_ndarray_co1sh3sc6or40x32y32_64x64.{kind}"
    if kind == "npz":
        # An entry of Python objects, as published: numpy pickles it.
        np.savez_compressed(file, metadata=np.array({"title": "dSprites"}, dtype=object), **arrays)
        return file
    with h5py.File(file, "w") as opened:
        opened.create_dataset("imgs", data=arrays["imgs"], compression="gzip", chunks=(100, 32, 16))
        opened.create_dataset("latents/classes", data=arrays["latents_classes"])
        opened.create_dataset("latents/values", data=arrays["latents_values"])
    return file


def write_faces3d(root: Path, *, legacy: bool = False) -> torch.Tensor:
    """Returns the file's tensor; ``legacy`` is how torch saved before 2020."""
    root.mkdir(parents=True, exist_ok=True)
    faces = torch.from_numpy(random_bytes(*faces3d.GRID.sizes, 64, 64))
    torch.save(faces, root / "basel_face_renders.pth", _use_new_zipfile_serialization=not legacy)
    return faces


def shapes3d_arrays() -> dict[str, np.ndarray]:
    """Images that are all different, and labels in the factors' own units, as published."""
    sizes = shapes3d.GRID.sizes
    units = [(0, 0.9, 10), (0, 0.9, 10), (0, 0.9, 10), (0.75, 1.25, 8), (0, 3, 4), (-30, 30, 15)]
    values = [np.linspace(*unit)[:size] for unit, size in zip(units, sizes, strict=True)]
    labels = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, len(sizes))
    return {"images": random_bytes(len(labels), 64, 64, 3), "labels": labels}


def write_shapes3d(root: Path, chunks: tuple[int, ...] | None = (25, 32, 32, 1), **changed: np.ndarray) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    arrays = shapes3d_arrays() | changed
    file = root / "3dshapes.h5"
    with h5py.File(file, "w") as opened:
        packed = {} if chunks is None else {"chunks": chunks, "compression": "gzip", "compression_opts": 1}
        opened.create_dataset("images", data=arrays["images"], **packed)
        opened.create_dataset("labels", data=arrays["labels"])
    return file


def mpi3d_images() -> np.ndarray:
    """Images that are all different, [N, 64, 64, 3]."""
    return random_bytes(len(mpi3d.GRID), 64, 64, 3)


def write_mpi3d(root: Path, version: str = "toy", images: np.ndarray | None = None, *, packed: bool = True) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    file = root / f"mpi3d_{version}.npz"
    (np.savez_compressed if packed else np.savez)(file, images=mpi3d_images() if images is None else images)
    return file


def car(seed: int) -> np.ndarray:
    """Smooth pictures [128, 128, 3, 24, 4] whose brightness tells azimuth and elevation, and whose colours differ."""
    brightness = np.arange(24)[:, None] * 4 + np.arange(4) + 100 * seed
    ramp = np.linspace(0, 30, 128)[:, None, None, None, None]
    return (ramp + brightness + np.array([0, 20, 40])[:, None, None]).repeat(128, axis=1).astype(np.uint8)


def write_cars3d(root: Path, *, floats: bool = False) -> Path:
    folder = root / "cars"
    folder.mkdir(parents=True)
    for number in range(cars3d.GRID.sizes[0]):
        images = car(number)
        savemat(
            folder / f"car_{number + 1:03}_mesh.mat", {"im": images / 255 if floats else images}, do_compression=True
        )
    return folder


def smallnorb_arrays(split: int) -> dict[str, np.ndarray]:
    """The matrices of a split, 0 to train on, in an order of their own as published."""
    categories, _, *poses = smallnorb.FACTORS.sizes
    values = [np.arange(categories), smallnorb.INSTANCES[split], *map(np.arange, poses)]
    cells = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, 5) * [1, 1, 1, 2, 1]
    cells = np.random.default_rng(split).permutation(cells).astype("<i4")
    pairs = random_bytes(len(cells), 2, 96, 96, seed=split)
    return {"dat": pairs, "cat": cells[:, 0].copy(), "info": cells[:, 1:].copy()}


def smallnorb_file(root: Path, split: int, part: str) -> Path:
    name = ("5x46789x9x18x6x2x96x96-training", "5x01235x9x18x6x2x96x96-testing")[split]
    return root / "smallnorb" / f"smallnorb-{name}-{part}.mat"


def binary_matrix(array: np.ndarray) -> bytes:
    """The published format: the kind, how many dimensions, at least three of them, and the numbers."""
    magic = {"uint8": 0x1E3D4C55, "int32": 0x1E3D4C54, "int16": 0x1E3D4C56}[array.dtype.name]
    sizes = (*array.shape, *(1,) * (3 - array.ndim))
    return struct.pack(f"<{2 + len(sizes)}i", magic, array.ndim, *sizes) + array.tobytes()


def write_smallnorb(root: Path) -> None:
    for split in range(2):
        for part, array in smallnorb_arrays(split).items():
            file = smallnorb_file(root, split, part)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(binary_matrix(array))


def write_scream(root: Path, size: tuple[int, int] = (700, 900)) -> Path:
    """Smooth colours in a .jpg file, as large as asked for."""
    file = root / "scream" / "scream.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random_bytes(9, 7, 3)).resize(size, Image.Resampling.BICUBIC).save(file, quality=95)
    return file


def write_chairs(root: Path) -> Path:
    """Chair, elevation and azimuth are the red, green and blue of the middle; a frame of 100 pixels is white."""
    folder = root / "rendered_chairs"
    for chair in range(chairs.GRID.sizes[0]):
        renders = folder / f"{chair:032x}" / "renders"
        renders.mkdir(parents=True)
        number = 0
        for elevation in range(chairs.GRID.sizes[1]):
            for azimuth in range(chairs.GRID.sizes[2]):
                number += 1
                image = Image.new("RGB", (600, 600), "white")
                image.paste((50 * chair, 60 * elevation, 70 * azimuth), (100, 100, 500, 500))
                name = f"image_{number:03}_p{20 + 10 * elevation:03}_t{11 + 12 * azimuth:03}_r096.png"
                image.save(renders / name)
    (folder / "all_chair_names.mat").write_bytes(b"MATLAB")
    return folder


def write_celeba(root: Path) -> Path:
    """Image i is grey 20·i inside the middle 148×148 pixels and black outside."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i + 1:06}.jpg" for i in range(len(CELEBA_PARTS))]
    for i, name in enumerate(names):
        image = Image.new("RGB", (178, 218))
        image.paste((20 * i, 20 * i, 20 * i), (15, 35, 163, 183))
        image.save(folder / "img_align_celeba" / name, quality=100, subsampling=0)
    rows = [
        f"{name} " + " ".join(f"{value:2}" for value in values)
        for name, values in zip(names, celeba_signs(), strict=True)
    ]
    (folder / "list_attr_celeba.txt").write_text(
        "\n".join([str(len(names)), " ".join(CELEBA_ATTRIBUTES) + " ", *rows]) + "\n"
    )
    parts = (f"{name} {part}\n" for name, part in zip(names, CELEBA_PARTS, strict=True))
    (folder / "list_eval_partition.txt").write_text("".join(parts))
    return folder


def celeba_signs() -> np.ndarray:
    """Each image's attributes as published, −1 or 1."""
    bits = np.arange(len(CELEBA_PARTS))[:, None] >> np.arange(len(CELEBA_ATTRIBUTES)) & 1
    return 2 * bits - 1


def png_of(width: int, height: int) -> bytes:
    """A PNG image of this size that says nothing of its pixels."""
    header = struct.pack(">4sII5B", b"IHDR", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">II4s", zlib.crc32(header), 0, b"IDAT")

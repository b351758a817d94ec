"""dSprites' variants against the published distributions, and the same picture wherever an image is drawn."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from gpus import needs_gpu
from published import write_dsprites, write_scream

from hfvae_runner.data import Dataset
from hfvae_runner.data import _variants as module
from hfvae_runner.data._variants import Variant, random_bytes
from hfvae_runner.data.dsprites import dsprites
from hfvae_runner.data.dsprites_rendered import dsprites_rendered
from hfvae_runner.errors import ConfigError, DataError
from hfvae_runner.launch import main

VARIANTS: tuple[Variant, ...] = ("colour", "noisy", "scream")
EACH = pytest.mark.parametrize("variant", VARIANTS)


def read(root: Path, variant: Variant | None, subset: int | None = None) -> Dataset:
    return dsprites(root=str(root), image_size=None, download=False, subset=subset, variant=variant)


@pytest.fixture
def root(shrunk: Path) -> Path:
    write_dsprites(shrunk)
    write_scream(shrunk)
    return shrunk


def plain_words(number: int, count: int) -> np.ndarray:
    """The hash as its author writes it, on unsigned numbers."""
    words = (np.uint32(number * 4096) + np.arange(count, dtype=np.uint32)) ^ np.uint32(0x3C6EF372)
    for _ in range(2):
        words = (words ^ words >> np.uint32(16)) * np.uint32(0x7FEB352D)
        words = (words ^ words >> np.uint32(15)) * np.uint32(0x846CA68B)
        words = words ^ words >> np.uint32(16)
    return words


def test_random_bytes_are_those_of_unsigned_arithmetic() -> None:
    numbers = [0, 1, 524_287, 524_288, 737_279]
    drawn = random_bytes(torch.tensor(numbers, dtype=torch.int32), 50)
    for row, number in zip(drawn.numpy(), numbers, strict=True):
        assert row.tolist() == list(plain_words(number, 13).astype("<u4").tobytes()[:50])


@needs_gpu
def test_every_device_draws_the_same(root: Path) -> None:
    for variant in VARIANTS:
        x = read(root, variant).train.x
        index = torch.arange(len(x))
        assert torch.equal(x.to(torch.device("cuda:0"))[index.cuda()].cpu(), x[index])


def test_random_bytes_are_uniform_and_independent() -> None:
    drawn = random_bytes(torch.arange(2000, dtype=torch.int32), 400).numpy()
    counts = np.bincount(drawn.ravel(), minlength=256)
    expected = drawn.size / 256
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi2 - 255) < 5 * math.sqrt(2 * 255)
    centred = (drawn - 127.5) / math.sqrt((256**2 - 1) / 12)
    for one, other in (
        (centred[1:], centred[:-1]),
        (centred[:, 1:], centred[:, :-1]),
        (centred[:, 4:], centred[:, :-4]),
        (centred[256:], centred[:-256]),
    ):
        assert abs((one * other).mean()) < 5 / math.sqrt(one.size)


@EACH
def test_an_image_is_the_same_wherever_it_is_drawn(variant: Variant, root: Path) -> None:
    whole, part = read(root, variant), read(root, variant, subset=20)
    n = len(whole.train)
    assert whole.train.x.shape == (n, 3, 64, 64)
    everything = whole.train.x[torch.arange(n)]
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat([whole.train.x[each] for each in order.split(7)]), everything[order])
    # The image of a part, of the test split or of another process has the same factors, so the same number.
    assert part.train.factors is not None and whole.factors is not None
    numbers = read(root, None).factors
    assert numbers is not None and hasattr(numbers, "to_index")
    assert torch.equal(part.train.x[torch.arange(20)], everything[numbers.to_index(part.train.factors)])
    assert torch.equal(read(root, variant).test.x[torch.arange(n)], everything)
    assert whole.notes["variant"] == module.NOTES[variant]
    assert whole.label_names == ("square", "ellipse", "heart")


def images(root: Path, variant: Variant) -> tuple[torch.Tensor, torch.Tensor]:
    """Of all examples: where the sprites are, bool [N, 64, 64], and what is drawn, [N, 3, 64, 64]."""
    everything = torch.arange(len(read(root, None).train))
    return read(root, None).train.x[everything][:, 0] > 0, read(root, variant).train.x[everything]


def test_coloured_sprites_are_on_black(root: Path) -> None:
    sprites, drawn = images(root, "colour")
    assert not drawn.movedim(1, 3)[~sprites].any()
    colours = drawn.flatten(2).amax(2)
    for image, sprite, colour in zip(drawn, sprites, colours, strict=True):
        assert torch.equal(image.movedim(0, 2)[sprite].unique(dim=0), colour[None])
    assert colours.min() >= 128 and len(colours.unique(dim=0)) == len(colours)
    # The mean of U(0.5, 1) is three quarters.
    assert abs(colours.float().mean() / 255 - 0.75) < 5 * (0.5 / math.sqrt(12)) / math.sqrt(colours.numel())


def test_noisy_sprites_are_white_on_noise(root: Path) -> None:
    sprites, drawn = images(root, "noisy")
    assert (drawn.movedim(1, 3)[sprites] == 255).all()
    noise = drawn.movedim(1, 3)[~sprites].float()
    assert abs(noise.mean() / 255 - 0.5) < 5 / math.sqrt(12 * noise.numel())
    assert (drawn[0, 0] != drawn[0, 1]).float().mean() > 0.3


def test_sprites_invert_a_part_of_the_scream(root: Path) -> None:
    sprites, drawn = images(root, "scream")
    sprite = sprites[:, None].expand_as(drawn)
    background = torch.where(sprite, 255 - drawn, drawn).short()
    scream = module._background(root / "scream" / "scream.jpg")
    # The picture keeps its proportions, 7 to 9, within 350×274.
    assert scream.shape == (3, 274, 213)
    parts = scream.unfold(1, 64, 1).unfold(2, 64, 1).movedim(0, 2)
    places, colours = set(), []
    for number in range(12):
        words = plain_words(number, 3).astype(np.int64)
        top, left = int(words[0] & 0x7FFFFFFF) % 210, int(words[1] & 0x7FFFFFFF) % 149
        # Twice the mean of the part and one colour, but for the rounding.
        colour = 2 * background[number] - parts[top, left].short()
        assert (colour.flatten(1).amax(1) - colour.flatten(1).amin(1) <= 1).all()
        places.add((top, left))
        colours.append(colour.flatten(1).amax(1))
    assert len(places) == 12
    assert torch.stack(colours).float().std() > 40


def test_the_rendered_set_has_them_too(root: Path) -> None:
    for variant in VARIANTS:
        dataset = dsprites_rendered(image_size=None, subset=8, variant=variant, root=str(root), download=False)
        plain = dsprites_rendered(image_size=None, subset=8)
        drawn, sprites = (each.train.x[torch.arange(8)] for each in (dataset, plain))
        assert drawn.shape == (8, 3, 64, 64)
        assert {"rendered", "variant"} <= dataset.notes.keys()
        if variant == "colour":
            assert torch.equal((drawn > 0).any(1), sprites[:, 0] > 0)


def test_the_picture_is_part_of_what_the_data_are(root: Path) -> None:
    before = read(root, "scream").digest
    assert before is not None and read(root, "colour").digest is None
    write_scream(root, size=(400, 300))
    assert read(root, "scream").digest != before


def test_without_the_picture_it_is_refused(shrunk: Path) -> None:
    write_dsprites(shrunk)
    with pytest.raises(DataError, match=r"scream.jpg is missing: run `python scripts/fetch_data.py dsprites=scream"):
        read(shrunk, "scream")
    with pytest.raises(ConfigError, match=r"dataset.root=None: expected the name of a folder"):
        dsprites_rendered(image_size=None, subset=1, variant="scream")


def test_pictures_that_cannot_be_used_are_refused(root: Path) -> None:
    file = write_scream(root, size=(60, 800))
    with pytest.raises(
        DataError, match=r"scream.jpg has 21×274 pixels, reduced .*expected a JPEG or PNG image of 64×64"
    ):
        read(root, "scream")
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match=r"scream.jpg is malformed .*remove it and fetch it again"):
        read(root, "scream")
    file.write_bytes(b"<svg/>")
    with pytest.raises(DataError, match=r"scream.jpg is malformed"):
        read(root, "scream")


def test_an_unknown_variant_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset.variant='color': expected one of colour, noisy, scream, or null"):
        read(root, "color")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.usefixtures("workplace", "one_thread")
def test_a_run_stopped_and_resumed_sees_the_same_pictures(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("dataset=dsprites", "dataset.variant=noisy", f"data_root={root}", "model=conv_standard64", "prior=normal")
    settings = ("batch_size=32", "device=cpu", "train.progress=false", "objective=beta_tcvae", "metrics=hoyer")
    assert main([*data, *settings, "steps=4", "hydra.run.dir=whole"]) == 0, capsys.readouterr().err
    assert main([*data, *settings, "steps=2", "hydra.run.dir=parts"]) == 0
    assert main(["resume=parts", "steps=4"]) == 0, capsys.readouterr().err
    whole, parts = (json.loads(Path(each, "metrics.json").read_text())["test"] for each in ("whole", "parts"))
    assert whole["elbo"] == parts["elbo"]

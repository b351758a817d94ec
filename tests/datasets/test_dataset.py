import pytest
import torch

from hfvae_runner.datasets._dataset import as_float, resized


def test_bytes_become_shares_of_255() -> None:
    x = as_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert x.dtype == torch.float32
    assert x.tolist() == pytest.approx([0, 0.2, 1])


def test_floats_stay_as_they_are() -> None:
    x = torch.randn(3, generator=torch.Generator().manual_seed(0))
    assert as_float(x) is x


def test_resizing_in_pieces_is_resizing_at_once() -> None:
    images = torch.randint(256, (4100, 1, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    large = resized(images, 7)
    assert large.shape == (4100, 1, 7, 7)
    assert torch.equal(large[4096:], resized(images[4096:], 7))


def test_resizing_keeps_extremes_and_flat_areas() -> None:
    flat = torch.tensor([0, 17, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 1, 28, 28)
    assert torch.equal(resized(flat, 32), flat[:, :, :1, :1].expand(3, 1, 32, 32))
    assert torch.equal(resized(flat, 8), flat[:, :, :1, :1].expand(3, 1, 8, 8))


def test_the_same_size_and_none_leave_the_images_alone() -> None:
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    assert resized(images, None) is images
    assert resized(images, 8) is images


def test_resizing_interpolates_linearly() -> None:
    """A ramp from 0 to 240 in four steps, twice as large: halfway values between pixel centres."""
    ramp = torch.tensor([0, 80, 160, 240], dtype=torch.uint8).expand(1, 1, 4, 4)
    assert resized(ramp, 8)[0, 0, 0].tolist() == [0, 20, 60, 100, 140, 180, 220, 240]

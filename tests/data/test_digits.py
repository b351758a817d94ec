import torch
from sklearn.datasets import load_digits

from hfvae_runner.data import Split
from hfvae_runner.data.digits import digits


def rows(split: Split) -> list[bytes]:
    return [bytes(image.flatten().tolist()) for image in split.x]


def test_the_split_is_fixed_and_complete() -> None:
    dataset = digits(image_size=None)
    assert dataset.train.x.shape == (1437, 1, 28, 28)
    assert dataset.test.x.shape == (360, 1, 28, 28)
    assert dataset.train.x.dtype == torch.uint8
    assert (dataset.values, dataset.n_classes) == ("unit_interval", 10)
    again = digits(image_size=None)
    assert torch.equal(dataset.train.x, again.train.x)
    assert torch.equal(dataset.test.x, again.test.x)


def test_no_image_is_in_both_parts_and_none_is_lost() -> None:
    dataset = digits(image_size=8)
    everything = sorted(bytes((image * (255 / 16)).round().astype("uint8").tobytes()) for image in load_digits().images)
    assert sorted(rows(dataset.train) + rows(dataset.test)) == everything
    assert not set(rows(dataset.train)) & set(rows(dataset.test))


def test_the_classes_are_shared_out_evenly() -> None:
    dataset = digits(image_size=8)
    assert dataset.train.labels is not None and dataset.test.labels is not None
    train, test = torch.bincount(dataset.train.labels), torch.bincount(dataset.test.labels)
    share = test / (train + test)
    assert len(share) == 10
    assert ((share - 360 / 1797).abs() < 0.005).all()


def test_labels_belong_to_their_images() -> None:
    dataset = digits(image_size=8)
    bunch = load_digits()
    labels = {
        bytes((image * (255 / 16)).round().astype("uint8").tobytes()): label
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    for split in (dataset.train, dataset.test):
        assert split.labels is not None
        assert [labels[row] for row in rows(split)] == split.labels.tolist()


def test_resizing_keeps_the_picture() -> None:
    small, large = digits(image_size=8).test.x.float(), digits(image_size=32).test.x.float()
    assert large.shape[1:] == (1, 32, 32)
    averaged = torch.nn.functional.avg_pool2d(large, 4)
    correlation = torch.corrcoef(torch.stack([averaged.flatten(), small.flatten()]))[0, 1]
    assert correlation > 0.95


def test_a_part_of_it() -> None:
    whole, part = digits(image_size=8), digits(image_size=8, subset=500)
    assert (len(part.train), len(part.test)) == (500, 360)
    assert set(rows(part.train)) <= set(rows(whole.train))
    assert part.notes == {"subset": "500 random examples of 1,437 to train on, 360 of 360 to test"}

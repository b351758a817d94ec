"""The handwritten digits that scikit-learn carries: 1,797 images of 8×8 with 17 grey levels, from UCI."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from hfvae_runner.data._dataset import Dataset, Split, reduced, resized


def digits(*, image_size: int | None, subset: int | None = None) -> Dataset:
    """1,437 training and 360 test images [1, S, S], S = ``image_size`` (28 if None), the split fixed and stratified.

    ``subset``: how many random training images to keep; None keeps all.
    """
    bunch = load_digits()
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8))[:, None]
    images = resized(images, 28 if image_size is None else image_size)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    # The split is part of the data set: its seed is not the run's.
    train, test = train_test_split(np.arange(len(labels)), test_size=360, random_state=0, stratify=bunch.target)
    dataset = Dataset(
        train=Split(images[train], labels[train]),
        test=Split(images[test], labels[test]),
        values="unit_interval",
        label_names=tuple(str(digit) for digit in range(10)),
    )
    return reduced(dataset, subset)

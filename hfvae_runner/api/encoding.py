"""Encodes a run's own splits, or examples from a file, for ``python -m hfvae_runner.encode``."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hfvae_runner.api.codes import Codes, Floats
from hfvae_runner.api.codes_file import Known, check, write
from hfvae_runner.api.loading import Run, load
from hfvae_runner.config import schema
from hfvae_runner.data import Dataset, Split
from hfvae_runner.errors import ConfigError, DataError, nearest
from hfvae_runner.runs.assembly import dataset_of

_KEYS = ("images", "vectors")
_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


def dataset_of_run(run: Run, data_root: str | None = None) -> Dataset:
    """Load the data set that a run was trained on.

    Args:
        run: the run.
        data_root: the folder of the data files; None for the run's own.

    Raises:
        RunnerError: the data are not there or have changed.
    """
    config = schema.parse(run.config)
    if data_root is not None:
        config = replace(config, data_root=data_root, dataset={**config.dataset, **_root(config.dataset, data_root)})
    dataset = dataset_of(config)
    run.data.refuse_other(dataset, run.folder)
    return dataset


def encode_splits(run: Run, names: Sequence[str], data_root: str | None = None) -> tuple[Codes, Known]:
    """Encode splits of the data set that a run was trained on, in their stored order.

    Args:
        run: whose encoder is used.
        names: of the splits, ``train`` and ``test``.
        data_root: the folder of the data files; None for the run's own.

    Raises:
        RunnerError: the data are not there or have changed, or a name is not one of a split.
    """
    dataset = dataset_of_run(run, data_root)
    splits = {"train": dataset.train, "test": dataset.test}
    if dataset.holdout is not None:
        splits["holdout"] = dataset.holdout
    if unknown := [name for name in names if name not in splits]:
        raise ConfigError(f"split={unknown[0]}: expected one of {', '.join(splits)}{nearest(unknown[0], splits)}")
    found = [
        (_encoded(run, splits[name], seed), _known(dataset, splits[name], name)) for seed, name in enumerate(names)
    ]
    return joined([codes for codes, _ in found]), _joined_known([known for _, known in found])


def encode_file(run: Run, path: Path) -> tuple[Codes, Known]:
    """Encode the ``images`` or ``vectors`` of an ``.npz`` file.

    Raises:
        DataError: the file cannot be read, has neither, or holds what the model does not take.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            keys = [key for key in _KEYS if key in content.files]
            if len(keys) != 1:
                raise DataError(f"{path} holds {', '.join(content.files) or 'nothing'}; expected {' or '.join(_KEYS)}")
            given = content[keys[0]]
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read: {error}; expected an .npz file") from error
    except (TypeError, AttributeError):
        raise DataError(f"{path} holds a single array; expected an .npz file with {' or '.join(_KEYS)}") from None
    codes = run.encode(given)
    return codes, Known(np.full(len(codes), "data"))


def encode(
    path: str | Path,
    out: str | Path,
    *,
    split: Sequence[str] = ("train", "test"),
    data: str | Path | None = None,
    data_root: str | None = None,
    device: str = "auto",
    trust: Sequence[str] = (),
) -> Path:
    """Write the codes of a run's splits, or of the examples in a file.

    Args:
        path: a run folder, or one of its checkpoints.
        out: ``.npz``, ``.csv`` or ``.parquet``.
        split: which splits, where no ``data`` are given.
        data: an ``.npz`` file with ``images`` or ``vectors``.
        data_root: the folder of the data set's files; None for the run's own.
        device, trust: as for ``load``.

    Returns:
        The file that was written.

    Raises:
        RunnerError: the run, the data or the file's name is not usable.
    """
    place = Path(out)
    check(place)
    run = load(path, device, trust)
    codes, known = encode_splits(run, split, data_root) if data is None else encode_file(run, Path(data))
    write(place, codes, known)
    return place


def joined(parts: Sequence[Codes]) -> Codes:
    """Return the codes of several splits, one after the other."""
    first = parts[0]

    def whole(name: str) -> Floats:
        return np.concatenate([getattr(each, name) for each in parts])

    return Codes(
        first.names,
        mean=whole("mean"),
        scale=whole("scale"),
        sample=whole("sample"),
        probabilities={key: np.concatenate([each.probabilities[key] for each in parts]) for key in first.probabilities},
        categories={key: np.concatenate([each.categories[key] for each in parts]) for key in first.categories},
    )


def _encoded(run: Run, split: Split, seed: int) -> Codes:
    """The codes of a split, part by part: packed and sparse examples are unpacked as they are encoded."""
    index = torch.arange(len(split))
    parts = [
        run.encode(split.x[part.to(split.x.device)], seed=seed + (int(part[0]) << 8)) for part in index.split(8192)
    ]
    return joined(parts)


def _known(dataset: Dataset, split: Split, name: str) -> Known:
    known = Known(np.full(len(split), name), _integers(split.labels))
    if dataset.factors is not None and split.factors is not None:
        names = dataset.factors.names
        nuisance = tuple(each in dataset.factors.nuisance for each in names)
        values = _integers(split.factors) if split.magnitudes is None else split.magnitudes.cpu().numpy()
        return replace(known, factors=values, factor_names=names, factor_nuisance=nuisance)
    if dataset.attribute_names is not None and split.attributes is not None:
        names = dataset.attribute_names
        return replace(
            known, factors=_integers(split.attributes), factor_names=names, factor_nuisance=(False,) * len(names)
        )
    return known


def _joined_known(parts: Sequence[Known]) -> Known:
    def whole(name: str) -> np.ndarray | None:
        values = [getattr(each, name) for each in parts]
        return None if any(value is None for value in values) else np.concatenate(values)

    split = np.concatenate([each.split for each in parts])
    return replace(parts[0], split=split, label=whole("label"), factors=whole("factors"))


def _integers(values: Tensor | None) -> np.ndarray | None:
    return None if values is None else values.cpu().numpy().astype(np.int64)


def _root(dataset: dict[str, object] | object, data_root: str) -> dict[str, object]:
    """The data set's own option for the folder of its files, where it has one."""
    return {"root": data_root} if isinstance(dataset, dict) and "root" in dataset else {}

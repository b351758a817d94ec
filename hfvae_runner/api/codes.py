"""The posterior of some examples as plain arrays. Shapes: B examples; D continuous factors; K categories."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hfvae_runner.errors import DataError, nearest
from hfvae_runner.latents.blocks import Posterior, Sample
from hfvae_runner.latents.latents import Latents

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Codes:
    """q(z|x) of B examples, and one draw from it.

    Attributes:
        names: of the continuous factors, D of them, such as ``style[3]``.
        mean, scale: of each factor's normal distribution, [B, D].
        sample: one draw of each factor, [B, D].
        probabilities: of each discrete variable by its name, [B, K].
        categories: one draw of each discrete variable, [B].
    """

    names: tuple[str, ...]
    mean: Floats
    scale: Floats
    sample: Floats
    probabilities: Mapping[str, Floats]
    categories: Mapping[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.mean)


def codes_of(latents: Latents, posterior: Posterior, sample: Sample) -> Codes:
    """Collect the blocks' posterior parameters [B, P_g] and draws [B, C_g]."""
    names: list[str] = []
    parts: dict[str, list[Tensor]] = {"mean": [], "scale": [], "sample": []}
    probabilities, categories = {}, {}
    for block, parameters, z in zip(latents.blocks, posterior, sample, strict=True):
        if block.discrete:
            probabilities[block.name] = _array(torch.softmax(parameters, dim=1))
            categories[block.name] = z.argmax(1).cpu().numpy()
            continue
        mean, log_scale = parameters.chunk(2, dim=1)
        names += block.factor_names
        for name, values in {"mean": mean, "scale": log_scale.exp(), "sample": z}.items():
            parts[name].append(values)
    columns = {
        name: _array(torch.cat(values, dim=1)) if values else np.empty((len(posterior[0]), 0), np.float32)
        for name, values in parts.items()
    }
    return Codes(tuple(names), **columns, probabilities=probabilities, categories=categories)


def sample_of(
    latents: Latents,
    continuous: Floats,
    categories: Mapping[str, NDArray[np.integer]],
    device: torch.device,
) -> Sample:
    """Return the latents' sample, [B, C_g] a block, at given values.

    Args:
        latents: of the model.
        continuous: [B, D], the continuous factors in their order.
        categories: of each discrete variable, [B], from 0 to K − 1.
        device: of the model.

    Raises:
        DataError: a number of columns or rows is wrong, a variable is missing or unknown, or a category does not exist.
    """
    size = sum(len(block.factor_names) for block in latents.blocks if not block.discrete)
    values = np.asarray(continuous, np.float32)
    if values.ndim != 2 or values.shape[1] != size:
        raise DataError(f"codes of shape {list(values.shape)}; expected [B, {size}], the model's continuous factors")
    discrete = {block.name: block.n_code for block in latents.blocks if block.discrete}
    if unknown := [name for name in categories if name not in discrete]:
        known = tuple(discrete)
        raise DataError(
            f"{unknown[0]!r} is no discrete variable of the model; expected "
            f"{', '.join(known) or 'none'}{nearest(unknown[0], known)}"
        )
    sample: list[Tensor] = []
    start = 0
    for block in latents.blocks:
        if not block.discrete:
            end = start + len(block.factor_names)
            sample.append(torch.from_numpy(values[:, start:end].copy()).to(device))
            start = end
            continue
        if block.name not in categories:
            raise DataError(f"the model has a discrete variable {block.name!r}; expected its categories, [B]")
        sample.append(_one_hot(block.name, np.asarray(categories[block.name]), len(values), block.n_code, device))
    return sample


def _one_hot(name: str, categories: NDArray[np.integer], rows: int, size: int, device: torch.device) -> Tensor:
    """log y of each row's category, [B, K]."""
    if categories.shape != (rows,) or categories.dtype.kind not in "iu":
        raise DataError(f"categories of {name!r} of shape {list(categories.shape)}; expected [{rows}] whole numbers")
    if rows and not 0 <= categories.min() <= categories.max() < size:
        raise DataError(
            f"categories of {name!r} from {categories.min()} to {categories.max()}; expected 0 to {size - 1}"
        )
    return torch.eye(size, device=device).log()[torch.from_numpy(categories.astype(np.int64)).to(device)]


def _array(values: Tensor) -> Floats:
    return values.float().cpu().numpy()

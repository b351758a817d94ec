"""The posterior of some examples as plain arrays. Shapes: B examples; D continuous factors; K categories."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hfvae_runner.errors import DataError, nearest
from hfvae_runner.latents.blocks import Posterior, QuantisedBlock, Sample
from hfvae_runner.latents.latents import Latents

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Codes:
    """q(z|x) of B examples, and one draw from it.

    Attributes:
        names: of the continuous factors, D of them, such as ``style[3]``.
        mean, scale: of each factor's normal distribution, [B, D].
        sample: one draw of each factor, [B, D].
        probabilities: of each discrete variable by its name, [B, K]. Each quantised factor is one, of the V values of
            its codebook.
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
        if isinstance(block, QuantisedBlock):
            for name, place in zip(block.factor_names, block.index(parameters).T, strict=True):
                probabilities[name] = _array(torch.eye(block.n_values, device=place.device)[place])
                categories[name] = place.cpu().numpy()
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
    discrete = _discrete(latents)
    size = sum(name not in discrete for name in latents.factor_names)
    values = np.asarray(continuous, np.float32)
    if values.ndim != 2 or values.shape[1] != size:
        raise DataError(f"codes of shape {list(values.shape)}; expected [B, {size}], the model's continuous factors")
    if unknown := [name for name in categories if name not in discrete]:
        known = tuple(discrete)
        raise DataError(
            f"{unknown[0]!r} is no discrete variable of the model; expected "
            f"{', '.join(known) or 'none'}{nearest(unknown[0], known)}"
        )
    chosen = {name: _checked(name, categories, len(values), size, device) for name, size in discrete.items()}
    sample: list[Tensor] = []
    start = 0
    for block in latents.blocks:
        if block.discrete:
            sample.append(torch.eye(block.n_code, device=device).log()[chosen[block.name]])
        elif isinstance(block, QuantisedBlock):
            sample.append(block.at(torch.stack([chosen[name] for name in block.factor_names], dim=1)).detach())
        else:
            end = start + len(block.factor_names)
            sample.append(torch.from_numpy(values[:, start:end].copy()).to(device))
            start = end
    return sample


def _discrete(latents: Latents) -> dict[str, int]:
    """The number of categories of each discrete variable, by its name."""
    sizes: dict[str, int] = {}
    for block in latents.blocks:
        if isinstance(block, QuantisedBlock):
            sizes |= dict.fromkeys(block.factor_names, block.n_values)
        elif block.discrete:
            sizes[block.name] = block.n_code
    return sizes


def _checked(name: str, given: Mapping[str, NDArray[np.integer]], rows: int, size: int, device: torch.device) -> Tensor:
    """A discrete variable's categories, int64 [B]."""
    if name not in given:
        raise DataError(f"the model has a discrete variable {name!r}; expected its categories, [B]")
    categories = np.asarray(given[name])
    if categories.shape != (rows,) or categories.dtype.kind not in "iu":
        raise DataError(f"categories of {name!r} of shape {list(categories.shape)}; expected [{rows}] whole numbers")
    if rows and not 0 <= categories.min() <= categories.max() < size:
        raise DataError(
            f"categories of {name!r} from {categories.min()} to {categories.max()}; expected 0 to {size - 1}"
        )
    return torch.from_numpy(categories.astype(np.int64)).to(device)


def _array(values: Tensor) -> Floats:
    return values.float().cpu().numpy()

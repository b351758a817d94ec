"""Quantised factors, each with a codebook of its own (Hsu et al. 2023, "Disentanglement via Latent Quantization").

Legend: S draws; D factors; V values of a codebook.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hfvae_runner.latents.blocks import Noise, NormalBlock, QuantisedBlock, Sample
from hfvae_runner.latents.latents import BlockPrior, Latents, Prior
from hfvae_runner.latents.priors._checks import at_least
from hfvae_runner.latents.priors.normal import StandardNormal
from hfvae_runner.latents.priors.normal_concrete import uniform_concretes

_WITHOUT_FACTORS = 10


class UniformCodebook(BlockPrior):
    """Uniform draws from the codebooks, independent for each factor, as in the authors' code.

    It serves for draws alone: a quantised posterior is a point, so no divergence from the prior is defined.
    """

    block: QuantisedBlock

    def __init__(self, block: QuantisedBlock) -> None:
        super().__init__(block)

    def joint(self, sample: Tensor) -> Tensor:
        raise self.block.no_density()

    def factors(self, sample: Tensor) -> Tensor:
        raise self.block.no_density()

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        places = (draws, self.block.size)
        return [torch.randint(self.block.n_values, places, generator=generator, device=generator.device)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        (index,) = noise
        return [self.block.at(index)]

    def settings(self) -> dict[str, object]:
        return {"codebooks": dict(zip(self.block.factor_names, self.block.codebook.tolist(), strict=True))}


def quantised(
    *,
    size: int | None,
    values: int,
    continuous: int,
    categories: int | Sequence[int] | None,
    temperature: float,
    n_factors: int | None,
) -> Latents:
    """Build the latents of ``prior=quantised``: a quantised block ``z``, and other blocks beside it.

    Args:
        size: D, the number of quantised factors; None: twice the data set's number of ground-truth factors as in the
            paper, or 10 if it has none.
        values: V, the number of values of each codebook.
        continuous: the size of a normal block ``style``; 0 for none.
        categories: K of a Concrete block ``class``, or a list for ``class_1``, ``class_2`` and so on; None for none.
        temperature: temperature of the relaxation of these blocks.
        n_factors: the number of the data set's factors that vary; None if it has no factors.

    Raises:
        ConfigError: a number is out of range.
    """
    if size is None:
        size = 2 * n_factors if n_factors else _WITHOUT_FACTORS
    block = QuantisedBlock("z", at_least("prior.size", size, 1), at_least("prior.values", values, 2))
    priors: list[Prior] = [UniformCodebook(block)]
    if at_least("prior.continuous", continuous, 0):
        priors.append(StandardNormal(NormalBlock("style", continuous)))
    if categories is not None:
        priors += uniform_concretes(categories, temperature)
    return Latents(priors)

"""A mixture of normal distributions over one block (α-β paper, Eq. 9).

Shapes: S draws, C components, D factors.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hfvae_runner.blocks import Noise, NormalBlock, Sample
from hfvae_runner.distributions import normal
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents import BlockPrior, Latents
from hfvae_runner.priors._checks import at_least, entries, finite, positive
from hfvae_runner.priors._parameters import plain


class NormalMixture(BlockPrior):
    """Σ_c π_c N(z; μ_c, σ²·I). The factors depend on each other; each one's marginal is a mixture as well.

    Args:
        block: of D factors.
        means: [C, D].
        variance: σ², the same for all components.
        weights: [C], all above 0, of sum 1.
    """

    block: NormalBlock
    means: Tensor
    log_weights: Tensor

    def __init__(self, block: NormalBlock, means: Tensor, variance: float, weights: Tensor) -> None:
        super().__init__(block)
        self.variance = variance
        self.register_buffer("means", means)
        self.register_buffer("log_weights", weights.log())

    def joint(self, sample: Tensor) -> Tensor:
        return torch.logsumexp(self._components(sample).sum(2) + self.log_weights, dim=1)

    def factors(self, sample: Tensor) -> Tensor:
        return torch.logsumexp(self._components(sample) + self.log_weights[:, None], dim=1)

    def _components(self, sample: Tensor) -> Tensor:
        """log N(z_d; μ_cd, σ²), [B, C, D]."""
        log_scale = sample.new_full((), 0.5 * math.log(self.variance))
        return normal.log_prob(sample[:, None], self.means, log_scale)

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        uniform = torch.rand(draws, generator=generator, device=generator.device, dtype=dtype)
        return [uniform, self.block.noise(draws, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        uniform, standard = noise
        edges = self.log_weights.exp().cumsum(0)[:-1].to(uniform.dtype).contiguous()  # also for many runs at once
        means = self.means[torch.bucketize(uniform, edges, right=True)]
        return [means + math.sqrt(self.variance) * standard]

    def settings(self) -> dict[str, object]:
        return {
            "means": [plain(point) for point in self.means],
            "variance": self.variance,
            "weights": plain(self.log_weights.exp()),
        }


def mixture(
    *, size: int, means: Sequence[Sequence[float]], variance: float, weights: Sequence[float] | None
) -> Latents:
    """``prior=mixture``: one block ``z`` under a normal mixture.

    Args:
        size: the number of factors.
        means: of the components, ``size`` numbers each.
        variance: of every component in every direction.
        weights: of the components, of sum 1; None: all equal.

    Raises:
        ConfigError: a value out of range, or means of another size.
    """
    block = NormalBlock("z", at_least("prior.size", size, 1))
    if not isinstance(means, list | tuple) or not means:
        raise ConfigError(f"prior.means={means!r}: expected a list of points, as in [[0, 1], [0, -1]]")
    for place, point in enumerate(means):
        if isinstance(point, list | tuple) and point and len(point) != size:
            raise ConfigError(
                f"prior.means[{place}]={list(point)!r} has {len(point)} coordinates; expected latents={size} of them, "
                f"or latents={len(point)}"
            )
    points = [
        [
            finite(f"prior.means[{c}][{d}]", value)
            for d, value in enumerate(entries(f"prior.means[{c}]", point, size, "of the latents"))
        ]
        for c, point in enumerate(means)
    ]
    if weights is None:
        shares = [1 / len(points)] * len(points)
    else:
        given = entries("prior.weights", weights, len(points), "of the means")
        shares = [positive(f"prior.weights[{c}]", value) for c, value in enumerate(given)]
    if abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(f"prior.weights={weights!r}: expected a sum of 1, not {sum(shares):g}")
    spread = positive("prior.variance", variance)
    return Latents([NormalMixture(block, torch.tensor(points), spread, torch.tensor(shares))])

"""A mixture of normal distributions over one block (α-β paper, Eq. 9).

Shapes: B batch, S draws, C components, D factors.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hfvae_runner.distributions import normal
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import BlockPrior, Latents
from hfvae_runner.latents.priors._checks import at_least, entries, finite, flag, positive
from hfvae_runner.latents.priors._parameters import plain


class NormalMixture(BlockPrior):
    """Normal mixture prior Σ_c π_c ∏_d N(z_d; μ_cd, σ_cd²) of one block.

    The factors are dependent. The marginal of each factor is a mixture too. A learned prior trains the means and
    variances. The weights are fixed: no gradient passes through the choice of a draw's component, so terms that draw
    from the prior could not train them.

    Args:
        block: a block of D factors.
        means: [C, D], the initial values if learned.
        variance: σ_cd² of every component and factor; the initial value if learned.
        weights: [C], all above 0, with sum 1.
        learned: whether means and variances are trained.
    """

    block: NormalBlock
    means: Tensor
    log_scales: Tensor
    log_weights: Tensor

    def __init__(self, block: NormalBlock, means: Tensor, variance: float, weights: Tensor, *, learned: bool) -> None:
        super().__init__(block)
        log_scales = torch.full_like(means, 0.5 * math.log(variance))
        if learned:
            self.means, self.log_scales = nn.Parameter(means), nn.Parameter(log_scales)
        else:
            self.register_buffer("means", means)
            self.register_buffer("log_scales", log_scales)
        self.register_buffer("log_weights", weights.log())

    def joint(self, sample: Tensor) -> Tensor:
        # Eq. 9
        return torch.logsumexp(self._components(sample).sum(2) + self.log_weights, dim=1)

    def factors(self, sample: Tensor) -> Tensor:
        return torch.logsumexp(self._components(sample) + self.log_weights[:, None], dim=1)

    def _components(self, sample: Tensor) -> Tensor:
        """Return log N(z_d; μ_cd, σ_cd²), [B, C, D]."""
        return normal.log_prob(sample[:, None], self.means, self.log_scales)

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        uniform = torch.rand(draws, generator=generator, device=generator.device, dtype=dtype)
        return [uniform, self.block.noise(draws, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        uniform, standard = noise
        edges = self.log_weights.exp().cumsum(0)[:-1].to(uniform.dtype).contiguous()  # needed for several runs at once
        component = torch.bucketize(uniform, edges, right=True)
        return [normal.sample(self.means[component], self.log_scales[component], standard)]

    def settings(self) -> dict[str, object]:
        return {
            "means": [plain(point) for point in self.means],
            "variances": [plain(point) for point in (2 * self.log_scales.double()).exp()],
            "weights": plain(self.log_weights.exp()),
            "learned": self.learned,
        }


def mixture(
    *,
    size: int,
    components: int | None,
    radius: float | None,
    means: Sequence[Sequence[float]] | None,
    variance: float,
    weights: Sequence[float] | None,
    learned: bool,
) -> Latents:
    """Build the latents of ``prior=mixture``: one block ``z`` with a normal mixture prior.

    Args:
        size: the number of factors, D.
        components: C, from 1 to 2·D: the number of means on the axes (``axis_points``). None: 2·D, one in both
            directions of every axis.
        radius: the distance of these means from 0. None: 1.
        means: means of the components, ``size`` numbers each, in place of ``components`` and ``radius``. None: the
            means on the axes.
        variance: variance of every component in every direction; the initial value if learned.
        weights: weights of the components, with sum 1; None: all equal.
        learned: whether means and variances are trained.

    Raises:
        ConfigError: a value is out of range, or two options exclude each other.
    """
    block = NormalBlock("z", at_least("prior.size", size, 1))
    if means is None:
        points = axis_points(
            size, _components(components, size), 1.0 if radius is None else positive("prior.radius", radius)
        )
    else:
        for key, value in {"components": components, "radius": radius}.items():
            if value is not None:
                raise ConfigError(f"prior.{key}={value!r} with prior.means given: expected one of them to be null")
        points = _given(means, size)
    if weights is None:
        shares = [1 / len(points)] * len(points)
    else:
        given = entries("prior.weights", weights, len(points), "of the components")
        shares = [positive(f"prior.weights[{c}]", value) for c, value in enumerate(given)]
    if abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(f"prior.weights={weights!r}: expected a sum of 1, not {sum(shares):g}")
    spread, trained = positive("prior.variance", variance), flag("prior.learned", learned)
    return Latents([NormalMixture(block, torch.tensor(points), spread, torch.tensor(shares), learned=trained)])


def axis_points(size: int, count: int, radius: float) -> list[list[float]]:
    """Return the first ``count`` points of r·e_1, −r·e_1, r·e_2, −r·e_2, …, with ``size`` coordinates each.

    The distance between any two points is at least r·√2. The four points for ``size`` 2 and r = 1 are the means of the
    pinwheel's prior (α-β paper, its authors' code).
    """
    return [[(radius if c % 2 == 0 else -radius) if d == c // 2 else 0.0 for d in range(size)] for c in range(count)]


def _components(count: int | None, size: int) -> int:
    if count is None:
        return 2 * size
    if at_least("prior.components", count, 1) > 2 * size:
        raise ConfigError(
            f"prior.components={count}: expected at most {2 * size}, two on each axis of latents={size}; "
            "for more, give their points as prior.means"
        )
    return count


def _given(means: Sequence[Sequence[float]], size: int) -> list[list[float]]:
    """Return the points [C, ``size``] given in the config; raise ConfigError if they are not such a list."""
    if not isinstance(means, list | tuple) or not means:
        raise ConfigError(f"prior.means={means!r}: expected a list of points, as in [[0, 1], [0, -1]], or null")
    for place, point in enumerate(means):
        if isinstance(point, list | tuple) and point and len(point) != size:
            raise ConfigError(
                f"prior.means[{place}]={list(point)!r} has {len(point)} coordinates; expected latents={size} of them, "
                f"or latents={len(point)}"
            )
    return [
        [
            finite(f"prior.means[{c}][{d}]", value)
            for d, value in enumerate(entries(f"prior.means[{c}]", point, size, "of the latents"))
        ]
        for c, point in enumerate(means)
    ]

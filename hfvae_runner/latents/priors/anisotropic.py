"""A diagonal normal prior with a variance for each factor (α-β paper, Sec. 6.1 and App. B).

The variances are fixed, derived from the data's principal components, or learned.

Shapes: N examples, P values of an example, D factors.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hfvae_runner.data import Examples, as_float
from hfvae_runner.distributions import normal
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.latents.blocks import Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import FactorialPrior, Latents
from hfvae_runner.latents.priors._checks import at_least, entries, flag, positive
from hfvae_runner.latents.priors._parameters import plain

_POWERS = {"deviations": 2, "variances": 1}
_MOST_EXAMPLES = 20_000


class DiagonalNormal(FactorialPrior):
    """Diagonal normal prior with the variances var_d = scale·D·softmax(θ)_d.

    The mean variance is ``scale`` for every θ, so that the meaning of β does not change with θ.

    Args:
        block: a block of D factors.
        variances: [D], initial variances up to a common factor.
        scale: the mean variance.
        learned: whether θ is trained.
    """

    block: NormalBlock
    theta: Tensor

    def __init__(self, block: NormalBlock, variances: Tensor, scale: float, *, learned: bool) -> None:
        super().__init__(block)
        self.log_total = math.log(scale * block.size)
        theta = variances.double().log()
        theta = (theta - theta.mean()).float()
        if learned:
            self.theta = nn.Parameter(theta)
        else:
            self.register_buffer("theta", theta)

    def log_scale(self) -> Tensor:
        """Return the log standard deviations, [D]."""
        return 0.5 * (self.log_total + torch.log_softmax(self.theta, 0))

    def factors(self, sample: Tensor) -> Tensor:
        return normal.log_prob(sample, sample.new_zeros(()), self.log_scale())

    def factor_kl(self, parameters: Tensor) -> Tensor:
        mean, log_scale = parameters.chunk(2, dim=1)
        own = self.log_scale()
        return normal.kl_to_standard(mean * torch.exp(-own), log_scale - own)

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        return [self.block.noise(draws, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        (standard,) = noise
        return [torch.exp(self.log_scale()) * standard]

    def settings(self) -> dict[str, object]:
        return {"variances": plain((2 * self.log_scale()).exp()), "learned": self.learned}


def anisotropic(
    *,
    size: int,
    variances: str | Sequence[float] | None,
    pca_as: str,
    scale: float,
    learned: bool,
    examples: Examples,
) -> Latents:
    """Build the latents of ``prior=anisotropic``: one normal block ``z`` with a variance for each factor.

    Args:
        size: the number of factors.
        variances: None: all equal; a list: in these proportions; ``pca``: from the training set's largest singular
            values. Initial values if learned.
        pca_as: the singular values are proportional to the ``deviations`` (the paper) or ``variances`` (its code).
        scale: the mean variance.
        learned: whether the proportions are trained.
        examples: the training set, [N, *], as stored.

    Raises:
        ConfigError: a value is out of range, or the data have fewer principal components than factors.
    """
    block = NormalBlock("z", at_least("prior.size", size, 1))
    if pca_as not in _POWERS:
        raise ConfigError(f"prior.pca_as={pca_as!r}: expected {' or '.join(_POWERS)}{nearest(pca_as, _POWERS)}")
    if variances is None:
        start = torch.ones(size)
    elif variances == "pca":
        start = _singular_values(examples, size) ** _POWERS[pca_as]
    elif isinstance(variances, str):
        raise ConfigError(f"prior.variances={variances!r}: expected null, a list, or pca{nearest(variances, ['pca'])}")
    else:
        given = entries("prior.variances", variances, size, "of the latents")
        start = torch.tensor([positive(f"prior.variances[{d}]", each) for d, each in enumerate(given)])
    spread = positive("prior.scale", scale)
    return Latents([DiagonalNormal(block, start, spread, learned=flag("prior.learned", learned))])


def _singular_values(examples: Examples, count: int) -> Tensor:
    """Return the largest singular values of the centred data [N, *], float64 [count], in descending order.

    At most 20,000 examples are used. Their choice depends on the data set alone, not on the run's seed.

    Raises:
        ConfigError: the data have fewer than ``count`` principal components.
    """
    # The import takes a second.
    from sklearn.decomposition import PCA

    chosen = torch.arange(len(examples))
    if len(examples) > _MOST_EXAMPLES:
        chosen = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))[:_MOST_EXAMPLES]
    table = as_float(examples[chosen.to(examples.device)]).flatten(1).double().cpu()
    most = min(table.shape)
    if count > most:
        raise ConfigError(
            f"prior.variances=pca: {table.shape[0]} examples of {table.shape[1]} values have {most} principal "
            f"components; expected latents={most} or less, not {count}"
        )
    values = torch.tensor(PCA(count, random_state=0).fit(table.numpy()).singular_values_, dtype=torch.float64)
    rank = int((values > 1e-6 * values[0]).sum())
    if rank < count:
        raise ConfigError(
            f"prior.variances=pca: the data vary in {rank} directions only; expected latents={max(rank, 1)} or less, "
            f"not {count}"
        )
    return values

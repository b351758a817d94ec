"""A factorial Student-t prior of scale 1 (α-β paper, Sec. 6.1)."""

import torch
from torch import Tensor

from hfvae_runner.distributions import student_t as student_t_distribution
from hfvae_runner.latents.blocks import Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import FactorialPrior, Latents
from hfvae_runner.latents.priors._checks import at_least, flag, positive
from hfvae_runner.latents.priors._parameters import Bounded, plain

# Lower bound of learned degrees of freedom, the value of the Cauchy distribution. The density is proper below 1 too,
# but draws exceed the range of single precision, and the curvature at 0, (ν+1)/ν, is unbounded.
_LEAST_NU = 1.0


class StudentT(FactorialPrior):
    """Prior of independent t-distributed factors in one block, with one ν for all.

    The KL divergence has no closed form.
    """

    block: NormalBlock
    reparameterised = False

    def __init__(self, block: NormalBlock, nu: Bounded) -> None:
        super().__init__(block)
        self.nu = nu

    def factors(self, sample: Tensor) -> Tensor:
        return student_t_distribution.log_prob(sample, self.nu())

    @torch.no_grad()
    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        nu = self.nu().to(generator.device)
        return [student_t_distribution.draw((draws, self.block.size), nu, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        return noise

    def settings(self) -> dict[str, object]:
        return {"nu": plain(self.nu()), "learned": self.learned}


def student_t(*, size: int, nu: float, learned: bool) -> Latents:
    """Build the latents of ``prior=student_t``: one block ``z``, p(z) = ∏_d t(z_d; ν).

    Args:
        size: the number of factors.
        nu: ν, the degrees of freedom; if learned, the initial value, above 1.
        learned: whether ν is trained; it stays above 1.

    Raises:
        ConfigError: a value is out of range.
    """
    block = NormalBlock("z", at_least("prior.size", size, 1))
    freedom = positive("prior.nu", nu)
    return Latents(
        [StudentT(block, Bounded("prior.nu", freedom, learned=flag("prior.learned", learned), bound=_LEAST_NU))]
    )

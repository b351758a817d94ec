"""The total correlation of the aggregate posterior, estimated by a critic (FactorVAE, Kim & Mnih 2018, Eq. 3, Alg. 2).

Shapes: B batch; F chosen factors; C columns of the code. A discrete factor has several columns.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hfvae_runner.config.validation import Count, NonNegative, Rates
from hfvae_runner.latents.blocks import Block, Noise
from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.linear import Linear
from hfvae_runner.objectives.terms._critics import cross_entropy_to, with_constant_weights
from hfvae_runner.objectives.terms._term import Term

_JOINT, _PERMUTED = 0, 1


class CriticTotalCorrelation(Term):
    """Term of ``critic_total_correlation``."""

    factor_of_column: Tensor

    def __init__(
        self, latents: Latents, blocks: Blocks, hidden: int, layers: int, lr: float, betas: tuple[float, float]
    ) -> None:
        super().__init__()
        self.chosen = latents.select(blocks)
        columns = [size for g in self.chosen for size in _columns_per_factor(latents.blocks[g])]
        factors = torch.arange(len(columns)).repeat_interleave(torch.tensor(columns))
        self.register_buffer("factor_of_column", factors, persistent=False)
        self.n_factors = len(columns)
        self.critic = _critic(sum(columns), hidden, layers)
        first, second = betas
        self.optimizer_options = {"lr": lr, "betas": (first, second)}

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Sequence[Noise]:
        """Return a permutation of the batch for each factor, [B, F]."""
        return [[torch.rand(batch, self.n_factors, generator=generator, device=generator.device).argsort(0)]]

    def forward(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor:
        logits = with_constant_weights(self.critic, self._code(evidence))
        # Kim & Mnih Eq. 3: E[log D(z) − log (1 − D(z))].
        return (logits[:, _JOINT] - logits[:, _PERMUTED]).mean()

    def fit(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor:
        ((permutations,),) = noise
        z = self._code(evidence).detach()
        permuted = z.gather(0, permutations[:, self.factor_of_column])
        return (cross_entropy_to(_JOINT, self.critic(z)) + cross_entropy_to(_PERMUTED, self.critic(permuted))) / 2

    def _code(self, evidence: Evidence) -> Tensor:
        """Return the chosen blocks' code, [B, C], in the critic's dtype."""
        code = [evidence.latents.blocks[g].code(evidence.sample[g]) for g in self.chosen]
        return torch.cat(code, dim=1).to(next(self.critic.parameters()).dtype)


def _columns_per_factor(block: Block) -> list[int]:
    """Return the number of code columns of each factor of a block.

    It is 1 for a factor of a normal block. All columns of a discrete variable belong to one factor, so that they are
    permuted together.
    """
    n_factors = len(block.factor_names)
    return [block.n_code // n_factors] * n_factors


def _critic(inputs: int, hidden: int, layers: int) -> nn.Sequential:
    """Build the critic: hidden layers with LeakyReLU 0.2, and two logits, for q(z) and for permuted codes.

    Source: ISA-VAE, App. A.4.
    """
    sizes = [inputs, *[hidden] * layers]
    inner = [nn.Sequential(Linear(*pair), nn.LeakyReLU(0.2)) for pair in pairwise(sizes)]
    return nn.Sequential(*inner, Linear(hidden, 2))


def critic_total_correlation(
    latents: Latents,
    *,
    blocks: Blocks = None,
    hidden: Count = 1000,
    layers: Count = 5,
    lr: NonNegative = 1e-4,
    betas: Rates = (0.5, 0.9),
) -> Term:
    """Build the term E[log D(z) − log (1 − D(z))], the critic's mean log-odds that z is a sample of q(z), in nats.

    The alternative is a sample of Π_d q(z_d). For an optimal critic the term equals the total correlation. The fit loss
    is the critic's cross entropy between the batch's codes and the same codes after an independent permutation of the
    examples for each factor (the paper permutes a second batch). Each loss trains only its own parameters.

    Args:
        latents: the latents to which the term is bound.
        blocks: only these blocks.
        hidden: units per hidden layer.
        layers: number of hidden layers.
        lr: Adam's learning rate for the critic.
        betas: Adam's decay rates for the critic.
    """
    return CriticTotalCorrelation(latents, blocks, hidden, layers, lr, betas)

"""A variational lower bound of the information between codes and generated examples (InfoGAN, Chen et al. 2016, Eq. 5).

Shapes: B batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import Noise, QuantisedBlock
from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives.terms._prior_draws import chosen_for_draws, generated_of
from hfvae_runner.objectives.terms._term import Term


class CodeInformation(Term):
    """Term of ``code_information``."""

    sign = -1
    generates = True

    def __init__(self, chosen: tuple[int, ...]) -> None:
        super().__init__()
        self.chosen = chosen

    def forward(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor:
        # The draws have categories, whatever the density of the relaxed samples is.
        generated, latents = generated_of(evidence), evidence.latents.with_density("argmax")
        log_q = [latents.blocks[g].log_prob(generated.posterior[g], generated.sample[g]).sum(1) for g in self.chosen]
        # Chen et al. 2016, Eq. 5, with H(c) = −E[log p(c)].
        log_p = latents.log_prior("joint", generated.sample, self.chosen)
        return (torch.stack(log_q).sum(0) - log_p).mean()


def code_information(latents: Latents, *, blocks: Blocks = None) -> Term:
    """Build the reward E[log q(c|x̃) − log p(c)] over draws c of the prior and x̃ generated from them, in nats.

    It is a lower bound of the mutual information I(c; x̃), for every encoder q. It trains the encoder and the decoder.
    Blocks that the encoder does not infer are not part of c.

    Args:
        latents: the latents to which the term is bound.
        blocks: only these blocks, jointly.

    Raises:
        ConfigError: the prior is learned and its draws are not reparameterised, a block has no density, or the encoder
            infers none of the blocks.
    """
    chosen = tuple(g for g in chosen_for_draws(latents, blocks) if g in latents.inferred)
    if not chosen:
        raise ConfigError("blocks: the encoder infers none of them; expected one that it infers")
    for block in (latents.blocks[g] for g in chosen):
        if isinstance(block, QuantisedBlock):
            raise block.no_density()
    return CodeInformation(chosen)

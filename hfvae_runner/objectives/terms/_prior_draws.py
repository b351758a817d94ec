"""What the terms that use draws from the prior share."""

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.latents.generated import Generated
from hfvae_runner.latents.latents import Latents


def chosen_for_draws(latents: Latents, blocks: Blocks) -> tuple[int, ...]:
    """Return the indices of the named blocks, and check that learned priors receive gradients through their draws.

    Raises:
        ConfigError: a prior is learned and its draws are not reparameterised.
    """
    chosen = latents.select(blocks)
    for piece in latents.pieces(chosen):
        if piece.prior.learned and not piece.prior.reparameterised:
            names = ", ".join(latents.blocks[g].name for g in piece.blocks)
            raise ConfigError(
                f"blocks: the prior of {names} is learned, but no gradient passes through its draws to what it learns; "
                "expected a fixed prior, or a term that draws from q(z) alone, such as kl"
            )
    return chosen


def generated_of(evidence: Evidence) -> Generated:
    """Return the generated examples, which an objective with a term that ``generates`` has."""
    assert evidence.generated is not None
    return evidence.generated

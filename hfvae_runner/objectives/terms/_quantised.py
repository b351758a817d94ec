"""The quantised blocks of a batch: what their codebooks are fitted to."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import QuantisedBlock
from hfvae_runner.latents.evidence import Evidence


def per_value(evidence: Evidence, squares: Sequence[Tensor]) -> Tensor:
    """Return P times the mean of squared distances over all D quantised factors, [B, D_g] each -> [B].

    In the paper the squares are averaged over factors, and the reconstruction over an example's P values. Here the
    reconstruction is a sum, so both are P times as large, and the paper's weights have the same effect.
    """
    return evidence.values * torch.cat(list(squares), dim=1).mean(1)


def before_and_after(evidence: Evidence) -> list[tuple[Tensor, Tensor]]:
    """Return the encoder's output and the nearest values of the codebooks, [B, D] each, for each quantised block.

    Raises:
        ConfigError: no block is quantised.
    """
    latents = evidence.latents
    found = [
        (parameters, block.nearest(parameters))
        for block, parameters in zip(latents.blocks, evidence.posterior, strict=True)
        if isinstance(block, QuantisedBlock)
    ]
    if not found:
        known = ", ".join(block.name for block in latents.blocks)
        raise ConfigError(f"no quantised block among the prior's blocks ({known}); expected prior=quantised")
    return found

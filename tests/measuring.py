"""The metrics of a made-up encoding, which has posteriors and a prior but no data."""

from functools import partial

import torch
from torch import Tensor, nn

from hfvae_runner.data import Dataset, Split
from hfvae_runner.evaluation.decomposition import Encoded
from hfvae_runner.evaluation.representation import measure, represented
from hfvae_runner.latents.latents import Latents
from hfvae_runner.metrics.inclusive_kl import inclusive_kl
from hfvae_runner.models.likelihoods import GaussianLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.vae import VAE


def inclusive_kl_of(latents: Latents, posterior: list[Tensor], draws: int, seed: int) -> dict[str, object]:
    """``inclusive_kl`` of a split ``test`` whose examples have these posteriors."""
    n = len(posterior[0])
    split = Split(torch.zeros(n, 1))
    data = Dataset(split, split, "real")
    sample = [block.mode(parameters) for block, parameters in zip(latents.blocks, posterior, strict=True)]
    encoded = Encoded(latents.with_density("argmax"), posterior, sample, torch.zeros(n), None, torch.arange(n))
    both = represented(encoded, data), represented(encoded, data)
    model = VAE(Networks(nn.Identity(), nn.Identity()), latents, GaussianLikelihood(scale=1.0))
    return measure(
        {"inclusive_kl": partial(inclusive_kl, draws=draws)}, model, split, encoded, both, name="test", seed=seed,
        batch_size=10, supervised=None, show_progress=False,
    )  # fmt: skip

"""HFVAE Table 7: ProdLDA (Srivastava and Sutton 2017), a topic model of bags of words.

Encoder: FC 100 softplus twice, dropout, FC with BatchNorm for every mean and log σ.
Decoder: softmax over all factors of all blocks (the topics' shares), dropout, FC words with BatchNorm. The likelihood
applies the table's last softmax, over the words. The model is a product of experts, so a topic's row of weights is not
a distribution; ``TopicDecoder.topics`` normalises it.

A training step depends on more than its inputs: dropout draws from torch's global generator, whose state a checkpoint
contains, and batch normalisation has running statistics.
"""

import torch
from torch import Tensor, nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.linear import Linear
from hfvae_runner.models.networks._networks import Networks, fully_connected
from hfvae_runner.models.networks._words import TopicDecoder, vocabulary_of


class LogCounts(nn.Module):
    """Elementwise log(1 + x)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.log1p(x)


class Shift(nn.Module):
    """Learned shift x + b, [B, n] -> [B, n], for a batch normalisation without a learned scale."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


def prodlda(
    *,
    input_shape: tuple[int, ...],
    latents: Latents,
    likelihood: Likelihood,
    dropout: float,
    learned_scale: bool,
    log_counts: bool,
) -> Networks:
    """Build the encoder and decoder for bags of words; the decoder is a ``TopicDecoder`` with a topic for each factor.

    Args:
        input_shape: (V,).
        latents: the latents whose posterior parameters the encoder returns; all blocks must be continuous.
        likelihood: the likelihood whose parameters the decoder returns.
        dropout: dropout probability, in the encoder and for the topics' shares.
        learned_scale: whether batch normalisation has a learned scale in addition to its shift.
        log_counts: whether the encoder reads log(1 + count) in place of the count.

    Raises:
        ConfigError: the data are not bags of words, a factor is discrete, or an option is out of range.
    """
    words = vocabulary_of("prodlda", input_shape, likelihood)
    if discrete := [block.name for block in latents.blocks if block.discrete]:
        raise ConfigError(
            f"model=prodlda takes continuous factors alone, the prior has a discrete {discrete[0]}; "
            "expected prior=normal or prior=two_groups"
        )
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ConfigError(f"model.dropout={dropout!r}: expected a number from 0 to below 1")
    for key, value in {"learned_scale": learned_scale, "log_counts": log_counts}.items():
        if not isinstance(value, bool):
            raise ConfigError(f"model.{key}={value!r}: expected true or false")
    encoder = nn.Sequential(
        LogCounts() if log_counts else nn.Identity(),
        *fully_connected((words, 100, 100), nn.Softplus),
        nn.Dropout(dropout),
        Linear(100, latents.n_parameters, bias=False),
        _normalised(latents.n_parameters, learned_scale),
    )
    decoder = TopicDecoder(
        nn.Sequential(nn.Softmax(dim=1), nn.Dropout(dropout)),
        Linear(latents.n_code, words, bias=False),
        _normalised(words, learned_scale),
    )
    return Networks(encoder, decoder)


def _normalised(features: int, learned_scale: bool) -> nn.Module:
    if learned_scale:
        return nn.BatchNorm1d(features)
    return nn.Sequential(nn.BatchNorm1d(features, affine=False), Shift(features))

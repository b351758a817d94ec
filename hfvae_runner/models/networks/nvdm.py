"""HFVAE Table 8: NVDM (Miao et al. 2016), a topic model of bags of words.

Encoder: FC 500 ReLU, FC posterior parameters. Decoder: FC words; the likelihood applies the table's softmax.
"""

from torch import nn

from hfvae_runner.latents.blocks import NormalBlock
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.linear import Linear
from hfvae_runner.models.networks._networks import LinearHeads, Networks, fully_connected
from hfvae_runner.models.networks._words import TopicDecoder, vocabulary_of


def nvdm(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder for bags of words.

    The decoder is a ``TopicDecoder``. A factor may be positive or negative, so it has top words in both directions.

    Every normal posterior initially has σ = 1, as in NVDM's code (ysmiao/nvdm). Counts are unbounded: if log σ depended
    on them from the first step, σ would exceed the largest float for a document of thousands of words.

    Raises:
        ConfigError: the data are not bags of words.
    """
    words = vocabulary_of("nvdm", input_shape, likelihood)
    heads = LinearHeads(500, latents)
    start = 0
    for block in latents.blocks:
        if isinstance(block, NormalBlock) and block.inferred:
            log_scales = slice(start + block.size, start + 2 * block.size)
            nn.init.zeros_(heads.linear.weight[log_scales])
            nn.init.zeros_(heads.linear.bias[log_scales])
        start += block.n_parameters
    encoder = nn.Sequential(*fully_connected((words, 500), nn.ReLU), heads)
    decoder = TopicDecoder(nn.Identity(), Linear(latents.n_code, words), nn.Identity())
    return Networks(encoder, decoder)

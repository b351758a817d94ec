"""Shared parts of the networks for bags of words: a check of the data, and a decoder that returns its topics.

Shapes: B batch; T topics, the decoder's inputs; V words of the vocabulary.
"""

import torch
from torch import Tensor, nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.models.likelihoods import Likelihood


def vocabulary_of(model: str, input_shape: tuple[int, ...], likelihood: Likelihood) -> int:
    """Return V, the size of the vocabulary.

    Raises:
        ConfigError: the data are not bags of words. The message names ``model``.
    """
    if len(input_shape) == 1 and likelihood.support == "counts":
        return input_shape[0]
    if len(input_shape) == 1:
        given, fitting = "vectors that are no counts", "model=mlp_pinwheel"
    else:
        given, fitting = f"{'×'.join(map(str, input_shape))} images", "model=mlp_mnist"
    raise ConfigError(f"model={model} takes bags of words, the data set gives {given}; expected {fitting}")


class TopicDecoder(nn.Module):
    """Decoder with a linear layer from topics to words, and modules before and after it: [B, T] -> logits [B, 1, V]."""

    def __init__(self, before: nn.Module, words: nn.Linear, after: nn.Module) -> None:
        super().__init__()
        self.before = before
        self.words = words
        self.after = after

    def forward(self, code: Tensor) -> Tensor:
        logits: Tensor = self.after(self.words(self.before(code)))
        return logits[:, None]

    def word_weights(self) -> Tensor:
        """Return the change of each word's logit, before ``after``, per unit of a topic; [T, V], detached.

        The largest values of a row are the topic's top words. If a topic may be negative (NVDM), the smallest values
        are the top words of its negative direction.
        """
        return self.words.weight.detach().T

    def topics(self) -> Tensor:
        """Return each topic's distribution over the words, the softmax of its ``word_weights``; [T, V], detached.

        The rows have the order of the code's columns, which for normal blocks is that of ``latents.factor_names``. The
        bias and the batch normalisation, common to all topics, are excluded, as in Srivastava and Sutton's lists.
        """
        return torch.softmax(self.word_weights(), dim=1)

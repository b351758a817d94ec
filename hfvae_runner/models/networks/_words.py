"""What the networks for bags of words share: the check of the data, and a decoder whose topics can be read.

Shapes: B batch; T topics, which are the decoder's inputs; V words of the vocabulary.
"""

import torch
from torch import Tensor, nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.models.likelihoods import Likelihood


def vocabulary_of(model: str, input_shape: tuple[int, ...], likelihood: Likelihood) -> int:
    """V.

    Raises:
        ConfigError: the data are not bags of words.
    """
    if len(input_shape) == 1 and likelihood.support == "counts":
        return input_shape[0]
    if len(input_shape) == 1:
        given, fitting = "vectors that are no counts", "model=mlp_pinwheel"
    else:
        given, fitting = f"{'×'.join(map(str, input_shape))} images", "model=mlp_mnist"
    raise ConfigError(f"model={model} takes bags of words, the data set gives {given}; expected {fitting}")


class TopicDecoder(nn.Module):
    """A linear layer from topics to words, with whatever stands before and after it: [B, T] -> logits [B, 1, V]."""

    def __init__(self, before: nn.Module, words: nn.Linear, after: nn.Module) -> None:
        super().__init__()
        self.before = before
        self.words = words
        self.after = after

    def forward(self, code: Tensor) -> Tensor:
        logits: Tensor = self.after(self.words(self.before(code)))
        return logits[:, None]

    def word_weights(self) -> Tensor:
        """Return what one unit more of a topic adds to each word's logit, before ``after``; [T, V], detached.

        The largest values of a row are the topic's top words. Where a topic may be negative (NVDM), the smallest ones
        are the top words of its other end.
        """
        return self.words.weight.detach().T

    def topics(self) -> Tensor:
        """Return each topic as a distribution over the words, the softmax of its row of ``word_weights``; [T, V],
        detached.

        Rows stand in the order of the code's columns: for normal blocks that is ``latents.factor_names``. What the
        words have in common (the bias, the batch normalisation) is left out, as in Srivastava and Sutton's own lists.
        """
        return torch.softmax(self.word_weights(), dim=1)

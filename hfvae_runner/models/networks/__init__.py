"""Encoders and decoders, one paper's table per file.

A model factory takes the data set's ``input_shape``, the ``latents`` and the ``likelihood``, and returns ``Networks``.
Its other arguments come from the model's YAML file. To add a network, add a file to this folder.
"""

from hfvae_runner.models.networks._networks import Networks
from hfvae_runner.models.networks._words import TopicDecoder

__all__ = ["Networks", "TopicDecoder"]

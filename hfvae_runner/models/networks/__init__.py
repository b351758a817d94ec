"""Encoders and decoders, one paper's table per file.

A model factory takes the data set's ``input_shape``, the ``latents`` and the ``likelihood``, and returns ``Networks``;
whatever else it takes comes from the model's YAML. A new paper's network is a file here.
"""

from hfvae_runner.models.networks._networks import Networks
from hfvae_runner.models.networks._words import TopicDecoder

__all__ = ["Networks", "TopicDecoder"]

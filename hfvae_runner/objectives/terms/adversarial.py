"""The adversarial loss of generated examples (Goodfellow et al. 2014; InfoGAN, Chen et al. 2016, Eq. 1).

Shapes: B batch; * the shape of one example.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hfvae_runner.config.validation import NonNegative, Rates
from hfvae_runner.latents.blocks import ConcreteBlock, Noise
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.normal_concrete import UniformConcrete
from hfvae_runner.objectives.terms._critics import cross_entropy_to, with_constant_weights
from hfvae_runner.objectives.terms._prior_draws import chosen_for_draws, generated_of
from hfvae_runner.objectives.terms._term import Examples, Term, on_examples

_DATA, _GENERATED = 0, 1


class Adversarial(Term):
    """Term of ``adversarial``."""

    generates = True

    def __init__(self, examples: Examples, lr: float, betas: tuple[float, float], instance_noise: float) -> None:
        super().__init__()
        # What the discriminator infers from an example is one binary variable.
        origin = Latents([UniformConcrete(ConcreteBlock("origin", 2, temperature=1.0))])
        self.discriminator = examples.encoder_of(origin)
        self.shape = examples.shape
        self.instance_noise = instance_noise
        first, second = betas
        self.optimizer_options = {"lr": lr, "betas": (first, second)}

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Sequence[Noise]:
        """Return the instance noise of the data and of the generated examples, [B, *] each; nothing without it."""
        if not self.instance_noise:
            return ()
        shape = (batch, *self.shape)
        return [[torch.randn(shape, generator=generator, device=generator.device, dtype=dtype) for _ in range(2)]]

    def forward(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor:
        x = self._noisy(generated_of(evidence).x, noise, _GENERATED)
        # Goodfellow et al. 2014, Sec. 3: the generator maximises log D(G(z)), whose gradient does not vanish where D is
        # certain, in place of minimising log (1 − D(G(z))).
        return cross_entropy_to(_DATA, with_constant_weights(self.discriminator, x))

    def fit(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor:
        generated = generated_of(evidence)
        # Goodfellow et al. 2014, Eq. 1, as a mean over both kinds of examples.
        of_data = self.discriminator(self._noisy(generated.data, noise, _DATA))
        of_others = self.discriminator(self._noisy(generated.x.detach(), noise, _GENERATED))
        return (cross_entropy_to(_DATA, of_data) + cross_entropy_to(_GENERATED, of_others)) / 2

    def _noisy(self, x: Tensor, noise: Sequence[Noise], kind: int) -> Tensor:
        return x + self.instance_noise * noise[0][kind] if noise else x


@on_examples
def adversarial(
    latents: Latents,
    examples: Examples,
    *,
    lr: NonNegative = 2e-4,
    betas: Rates = (0.5, 0.999),
    instance_noise: NonNegative = 0.1,
) -> Term:
    """Build the term E[−log D(x̃)] over generated examples x̃ = E[x|z], z from the prior, in nats.

    D is the probability that a discriminator gives to an example of being one of the data. The fit loss is its cross
    entropy, as a mean over the batch's examples and as many generated ones. Each loss trains only its own parameters.
    The discriminator has the architecture of the model's encoder. In the authors' code it shares all layers but the
    last with the encoder; here it does not.

    Args:
        latents: the latents to which the term is bound.
        examples: what the discriminator reads.
        lr: Adam's learning rate for the discriminator.
        betas: Adam's decay rates for the discriminator.
        instance_noise: standard deviation of normal noise that is added to all examples that the discriminator reads
            (Sønderby et al. 2017, Sec. 2.3), in units of a value of x.

    Raises:
        ConfigError: the prior is learned and its draws are not reparameterised.
    """
    chosen_for_draws(latents, None)
    return Adversarial(examples, lr, betas, instance_noise)

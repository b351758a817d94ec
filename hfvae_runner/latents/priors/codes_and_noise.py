"""InfoGAN's latents (Chen et al. 2016, Sec. 5): codes that the encoder infers, and noise that it does not."""

from collections.abc import Sequence

from hfvae_runner.latents.blocks import NormalBlock
from hfvae_runner.latents.latents import Latents, Prior
from hfvae_runner.latents.priors._checks import at_least
from hfvae_runner.latents.priors.normal import StandardNormal
from hfvae_runner.latents.priors.normal_concrete import uniform_concretes


def codes_and_noise(*, size: int, noise: int, categories: int | Sequence[int] | None, temperature: float) -> Latents:
    """Build the latents of ``prior=codes_and_noise``: uniform codes ``z``, Concrete variables, and ``noise``.

    A uniform code is 2Φ(z) − 1 of a standard normal z, and q(z|x) is normal: a density of the code on (−1, 1). The
    paper's is a normal density of the code itself, which has mass beyond these ends.

    Args:
        size: the number of uniform codes.
        noise: the number of standard normal factors that the encoder does not infer; 0 for none.
        categories: K of a Concrete block ``class``, or a list for ``class_1``, ``class_2`` and so on; None for none.
        temperature: temperature of the relaxation of these blocks.

    Raises:
        ConfigError: a number is out of range.
    """
    codes = NormalBlock("z", at_least("prior.size", size, 1), uniform=True)
    priors: list[Prior] = [StandardNormal(codes)]
    if categories is not None:
        priors += uniform_concretes(categories, temperature)
    if at_least("prior.noise", noise, 0):
        priors.append(StandardNormal(NormalBlock("noise", noise, inferred=False)))
    return Latents(priors)

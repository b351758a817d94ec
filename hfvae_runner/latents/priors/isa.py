"""The prior of ISA-VAE: independent subspaces, dependent factors within each (Eq. 9–11).

The prior is an Lp-nested tree of depth two. In a subspace of n factors with exponent p, every factor has the variance

    s^(2/p₀) · c  with  c = Γ((n+2)/p₀)/Γ(n/p₀) · Γ(3/p)·Γ(n/p)/(Γ(1/p)·Γ((n+2)/p)).

For variance 1, set s = c^(−p₀/2); this is 2 for p₀ = p = 2.
"""

from collections.abc import Sequence

from hfvae_runner.distributions import lp_nested as family
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors._checks import at_least, flag, positive, positives
from hfvae_runner.latents.priors.lp_nested import Exponents, latents_of


def isa(
    *,
    size: int,
    subspaces: int | Sequence[int],
    root_exponent: float,
    exponents: float | Sequence[float],
    scale: float,
    learned: bool,
) -> Latents:
    """Build the latents of ``prior=isa``: a block for each subspace, ``subspace_1`` …, or ``z`` if there is only one.

    Args:
        size: the number of factors.
        subspaces: the number of factors of each subspace: one number for all, or a list.
        root_exponent: p₀.
        exponents: p₁ …, one number for all subspaces or a list. The exponent of a subspace of one factor has no effect.
        scale: s.
        learned: whether p₁ … are trained; they start at ``exponents`` and stay above 1.

    Raises:
        ConfigError: a value is out of range, the subspaces' sizes do not sum to ``size``, or ``learned`` is set and no
            subspace has two factors.
    """
    sizes = _sizes(at_least("prior.size", size, 1), subspaces)
    below = positives("prior.exponents", exponents, len(sizes), "subspace")
    if flag("prior.learned", learned) and max(sizes) == 1:
        raise ConfigError(f"prior.learned=true: no subspace in prior.subspaces={subspaces!r} has two factors")
    root = positive("prior.root_exponent", root_exponent)
    shared = Exponents(root, below, positive("prior.scale", scale), learned=learned)
    tree = family.parse([[n] for n in sizes])
    return latents_of(tree, shared, [None if learned else p for p in below], root)


def _sizes(size: int, subspaces: int | Sequence[int]) -> list[int]:
    if isinstance(subspaces, list | tuple):
        sizes = [at_least(f"prior.subspaces[{g}]", each, 1) for g, each in enumerate(subspaces)]
        if sum(sizes) != size:
            raise ConfigError(
                f"prior.subspaces={sizes!r} has {sum(sizes)} factors in all; expected latents={size} of them, or "
                f"latents={sum(sizes)}"
            )
        return sizes
    each = at_least("prior.subspaces", subspaces, 1)
    if size % each:
        raise ConfigError(
            f"prior.subspaces={each}: latents={size} does not divide into subspaces of {each}; expected a divisor, "
            "or a list of sizes"
        )
    return [each] * (size // each)

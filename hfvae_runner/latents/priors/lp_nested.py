"""Lp-nested priors with any tree (ISA-VAE Sec. 3.2, Eq. 6–11; Sinz & Bethge 2010).

f(z) is a tree of Lp norms. With the radial density of Eq. 11, the root's children are independent, whatever their
subtrees are. They are the blocks, and each block has a closed-form marginal. The factors of a block have one only if
they are independent too: if they are leaves of the root, or if all exponents of their subtree equal the root's.

Shapes: B batch; S draws; n leaves of one subspace; I inner nodes of one subspace; G subspaces of the same shape.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from hfvae_runner.config.names import Level
from hfvae_runner.distributions import generalised_normal
from hfvae_runner.distributions import lp_nested as family
from hfvae_runner.distributions.lp_nested import Layout, Tree
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import FactorialPrior, Latents, Prior
from hfvae_runner.latents.priors._checks import at_least, flag, positive, positives
from hfvae_runner.latents.priors._parameters import Bounded, plain
from hfvae_runner.latents.priors.generalised_normal import LEAST_EXPONENT


class Exponents(nn.Module):
    """Parameters shared by all blocks of one tree.

    Args:
        root: p₀, never learned (ISA-VAE, App. A.2).
        below: exponents of the inner nodes below the root, in the order in which the tree is written.
        scale: s of the radial density.
        learned: whether the exponents below the root are trained; they stay above 1.

    Raises:
        ConfigError: the initial value of a learned exponent is not above 1.
    """

    root: Tensor

    def __init__(self, root: float, below: Sequence[float], scale: float, *, learned: bool) -> None:
        super().__init__()
        self.register_buffer("root", torch.tensor(root))
        self.below = Bounded("prior.exponents", below, learned=learned, bound=LEAST_EXPONENT)
        self.scale = scale

    def forward(self) -> Tensor:
        """Return the exponents below the root, in the order of ``below``."""
        exponents: Tensor = self.below()
        return exponents

    def settings(self) -> dict[str, object]:
        """Return every exponent, the scale, and whether the exponents below the root are learned."""
        return {
            "root_exponent": plain(self.root),
            "exponents": plain(self()),
            "scale": self.scale,
            "learned": self.below.learned,
        }


class IndependentLeaves(FactorialPrior):
    """Prior of independent leaves, p(z_d) ∝ exp(−|z_d|^p₀/s).

    The leaves are children of the root, or of nodes that have no effect: nodes of one leaf, or with the exponent p₀.
    """

    block: NormalBlock
    reparameterised = False

    def __init__(self, block: NormalBlock, exponents: Exponents) -> None:
        super().__init__(block)
        self.exponents = exponents

    def factors(self, sample: Tensor) -> Tensor:
        return generalised_normal.log_prob(sample, self.exponents.root.to(sample.dtype), self.exponents.scale)

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        root = self.exponents.root.to(generator.device)
        shape = (draws, self.block.size)
        return [generalised_normal.draw(shape, root, self.exponents.scale, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        return noise

    def settings(self) -> dict[str, object]:
        return self.exponents.settings()


class Subspaces(Prior):
    """Prior of G independent blocks: neighbouring children of the root with the same shape, computed at once.

    Args:
        blocks: G blocks of n factors each.
        tree: the subtree of each block.
        exponents: the parameters of the whole tree.
        first: index of these blocks' first exponent among the exponents below the root.
    """

    finest: Level = "block"
    reparameterised = False

    def __init__(self, blocks: Sequence[NormalBlock], tree: Tree, exponents: Exponents, first: int) -> None:
        super().__init__(tuple(blocks))
        self.tree = tree
        self.exponents = exponents
        self.own = slice(first, first + len(blocks) * tree.n_inner)

    def _own_exponents(self) -> Tensor:
        """Return the exponents of these blocks, [G, I]."""
        own: Tensor = self.exponents()[self.own].unflatten(0, (len(self.blocks), self.tree.n_inner))
        return own

    def log_prob(self, level: Level, sample: Sample, chosen: Sequence[int]) -> Tensor:
        if level == "factor":
            raise ValueError("an Lp-nested subspace has no marginals per factor")
        z = torch.stack([sample[g] for g in chosen], dim=1)
        own = self._own_exponents().to(z.dtype)
        exponents = torch.stack([own[g] for g in chosen])
        root = self.exponents.root.to(z.dtype)
        # Eq. 10: every subspace uses p₀ and s of the radial density.
        per_block = family.log_prob(self.tree, z, exponents, root, self.exponents.scale)
        return per_block.sum(1) if level == "joint" else per_block

    @torch.no_grad()
    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        exponents = self._own_exponents().to(generator.device)
        root = self.exponents.root.to(generator.device)
        z = family.draw(self.tree, exponents, root, self.exponents.scale, draws, generator, dtype)
        return z.unbind(1)

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        return noise

    def settings(self) -> dict[str, object]:
        return self.exponents.settings()


def lp_nested(
    *,
    size: int,
    tree: Layout,
    root_exponent: float,
    exponents: float | Sequence[float],
    scale: float,
    learned: bool,
) -> Latents:
    """Build the latents of ``prior=lp_nested``: a block for each child of the root.

    The blocks are ``subspace_1`` …, or ``z`` if there is only one. Neighbouring leaves of the root form one block.

    Args:
        size: the number of factors, equal to the number of leaves of the tree.
        tree: a number k means k leaves, a list means an inner node; [1, [2]] is Eq. 6.
        root_exponent: p₀.
        exponents: exponents of the inner nodes below the root in the order in which they are written; or one number
            for all.
        scale: s.
        learned: whether ``exponents`` are trained; they start at the given values and stay above 1.

    Raises:
        ConfigError: a value is out of range, the tree does not have ``size`` leaves, or ``learned`` is set and the tree
            has no inner node below the root.
    """
    try:
        parsed = family.parse(tree)
    except ConfigError as error:
        raise ConfigError(f"prior.tree={tree!r}: {error}") from None
    if parsed.n_leaves != at_least("prior.size", size, 1):
        raise ConfigError(
            f"prior.tree={tree!r} has {parsed.n_leaves} leaves; expected latents={size} of them, or "
            f"latents={parsed.n_leaves}"
        )
    below = positives("prior.exponents", exponents, parsed.n_inner - 1, "inner node below the root")
    if flag("prior.learned", learned) and not below:
        raise ConfigError(f"prior.learned=true: prior.tree={tree!r} has no inner node below the root; expected false")
    root = positive("prior.root_exponent", root_exponent)
    shared = Exponents(root, below, positive("prior.scale", scale), learned=learned)
    return latents_of(parsed, shared, [None if learned else p for p in below], root)


def latents_of(tree: Tree, shared: Exponents, fixed: Sequence[float | None], root: float) -> Latents:
    """Build a block for every inner child of the root and for every run of leaves.

    A block gets ``IndependentLeaves`` if its factors are independent, otherwise ``Subspaces``.

    Args:
        tree: the whole tree.
        shared: the tree's parameters.
        fixed: the exponents below the root as numbers; None for a learned one.
        root: p₀ as a number.
    """
    parts = list(_parts(tree, fixed, root))
    names = ["z"] if len(parts) == 1 else [f"subspace_{place}" for place in range(1, len(parts) + 1)]
    named = [(NormalBlock(name, leaves), *part) for name, (leaves, *part) in zip(names, parts, strict=True)]
    priors: list[Prior] = []
    for child, group in groupby(named, key=lambda part: part[1]):
        blocks, _, starts = zip(*group, strict=True)
        if child is None:
            priors += [IndependentLeaves(block, shared) for block in blocks]
        else:
            priors.append(Subspaces(blocks, child, shared, starts[0]))
    return Latents(priors)


def _parts(tree: Tree, fixed: Sequence[float | None], root: float) -> Iterator[tuple[int, Tree | None, int]]:
    """Yield for each block the number of leaves, its tree (None if its factors are independent) and first exponent.

    The first exponent is given as an index among the exponents below the root.
    """
    first = 0
    for number, child in tree.runs:
        if child.is_leaf:
            yield number, None, first
            continue
        for _ in range(number):
            own = fixed[first : first + child.n_inner]
            independent = child.n_leaves == 1 or all(p == root for p in own)
            yield child.n_leaves, None if independent else child, first
            first += child.n_inner

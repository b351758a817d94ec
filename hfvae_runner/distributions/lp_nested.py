"""Lp-nested functions and the distributions on their level sets (ISA paper, Eq. 6–11 and A.1; Sinz & Bethge 2010).

An Lp-nested function is a tree of norms. The value of a leaf is |z_j|. The value of an inner node is the Lp norm of
its children's values, with the node's own exponent. Exponents are in depth-first order: the root first, and each node
before its children.

Shapes: B batch, n leaves, I inner nodes, l children of the root. Every function also accepts a batch of trees of the
same shape, with leading dimensions T: exponents [*T, I] with z [B, *T, n].
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TypeAlias

import torch
from torch import Tensor

from hfvae_runner.distributions.generalised_normal import draw_norm, power, signs
from hfvae_runner.errors import ConfigError

# An integer k stands for k leaves directly below the node, and a list for an inner node: [1, [2]] is the tree of Eq. 6.
Layout: TypeAlias = "Sequence[int | Layout]"


@dataclass(frozen=True)
class Tree:
    """A node and its subtrees. Equal neighbours are stored once, with their number, and are computed together."""

    runs: tuple[tuple[int, "Tree"], ...] = ()
    """(number, tree) of equal neighbours, from left to right; none for a leaf."""

    @property
    def is_leaf(self) -> bool:
        return len(self.runs) == 0

    @property
    def children(self) -> tuple["Tree", ...]:
        """The l subtrees directly below this node."""
        return tuple(child for number, child in self.runs for _ in range(number))

    @cached_property
    def n_leaves(self) -> int:
        return 1 if self.is_leaf else sum(number * child.n_leaves for number, child in self.runs)

    @cached_property
    def n_inner(self) -> int:
        """The number of inner nodes, including this one. It equals the number of exponents."""
        return 0 if self.is_leaf else 1 + sum(number * child.n_inner for number, child in self.runs)


def parse(layout: Layout) -> Tree:
    """Parse a nested list such as [1, [2]] into a tree: an integer k is k leaves, a list is an inner node.

    Raises:
        ConfigError: the layout is empty, or contains anything but positive integers and non-empty lists.
    """
    listed = isinstance(layout, Sequence) and not isinstance(layout, str)
    if not listed or not layout:
        raise ConfigError(f"layout has {layout!r}; expected a list of leaf counts (1 or more) and of lists: [1, [2]]")
    children = [child for entry in layout for child in _parse_entry(entry)]
    return Tree(tuple((len(list(equal)), child) for child, equal in groupby(children)))


def _parse_entry(entry: "int | Layout") -> list[Tree]:
    if isinstance(entry, int) and not isinstance(entry, bool) and entry > 0:
        return [Tree()] * entry
    # ``parse`` raises for every other entry that is not a list.
    return [parse(entry)]  # type: ignore[arg-type]


def value(tree: Tree, z: Tensor, exponents: Tensor) -> Tensor:
    """Return f(z), the root's value (Eq. 6, 9): z [B, n], exponents [I] -> [B]. The gradient at z = 0 is 0."""
    if tree.is_leaf:
        return z.abs().squeeze(-1)
    below = [value(child, z_own, own) for child, z_own, own in _parts(tree, z, exponents)]
    return _norm(torch.cat(below, dim=-1), exponents[..., 0])


def log_surface(tree: Tree, exponents: Tensor) -> Tensor:
    """Return log S_f(1), the log-area of the unit sphere {z: f(z) = 1} (Eq. 8): exponents [I] -> scalar."""
    if tree.is_leaf:
        return exponents.new_full(exponents.shape[:-1], math.log(2))
    p = exponents[..., 0]
    # Eq. 8, whose product of Beta functions telescopes to ∏_k Γ(n_k/p) / Γ(n/p) at each node.
    total = -(len(tree.children) - 1) * p.log() - torch.lgamma(tree.n_leaves / p)
    for (number, child), own in zip(tree.runs, _split_exponents(tree, exponents), strict=True):
        total = total + number * torch.lgamma(child.n_leaves / p) + log_surface(child, own).sum(-1)
    return total


def log_prob(tree: Tree, z: Tensor, exponents: Tensor, radial_exponent: Tensor, scale: float) -> Tensor:
    """Return the log-density of Eq. 7 under the radial density of Eq. 11, z [B, n] -> [B]. Nats.

    p₀ is ``radial_exponent`` and s is ``scale``. If p₀ is the root's exponent, as in the paper, the root's children are
    independent, and each child's marginal is this density over its own tree, with the same p₀ and s.
    """
    p0, n = radial_exponent, tree.n_leaves
    constant = p0.log() - torch.lgamma(n / p0) - n * math.log(scale) / p0 - log_surface(tree, exponents)
    # The factors v₀^(n−1) of Eq. 7 and Eq. 11 cancel.
    return constant - power(value(tree, z, exponents), p0) / scale


def log_prob_children(tree: Tree, z: Tensor, exponents: Tensor, scale: float) -> Tensor:
    """Return the log-densities of the root's children, the independent subspaces of Eq. 10: z [B, n] -> [B, l]. Nats.

    Their sum over l is ``log_prob`` with the root's exponent as p₀.
    """
    p0 = exponents[..., :1]
    each = [log_prob(child, z_own, own, p0, scale) for child, z_own, own in _parts(tree, z, exponents)]
    return torch.cat(each, dim=-1)


def draw(
    tree: Tree,
    exponents: Tensor,
    radial_exponent: Tensor,
    scale: float,
    n_samples: int,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> Tensor:
    """Return exact, reparameterised samples of the density of ``log_prob``, [n_samples, n] (Alg. 1).

    Parameters must be on the generator's device. The exponents receive gradients. Step 4 of Alg. 1 divides by the
    radius of step 1, so both steps are omitted.
    """
    exponents, p0 = exponents.to(dtype), radial_exponent.to(dtype)
    radius = scale ** (1 / p0) * draw_norm((n_samples, *exponents.shape[:-1]), tree.n_leaves, p0, generator)
    return radius.unsqueeze(-1) * _draw_direction(tree, exponents, n_samples, generator)


def _draw_direction(tree: Tree, exponents: Tensor, n_samples: int, generator: torch.Generator) -> Tensor:
    """Return points with f = 1 from the uniform distribution of Alg. 1, exponents [*T, I] -> [n_samples, *T, n]."""
    shape = (n_samples, *exponents.shape[:-1])
    if tree.is_leaf:
        return signs((*shape, 1), generator, exponents.dtype)
    # Step 2: gamma variables divided by their sum are Dirichlet variables. Here the p-th root is already taken.
    p = exponents[..., :1]
    radii = [draw_norm((*shape, number), child.n_leaves, p, generator) for number, child in tree.runs]
    norm = _norm(torch.cat(radii, dim=-1), exponents[..., 0]).unsqueeze(-1)
    # Step 3: a child's radius is its share of its parent's radius.
    below = [
        ((radius / norm).unsqueeze(-1) * _draw_direction(child, own, n_samples, generator)).flatten(-2)
        for radius, (_, child), own in zip(radii, tree.runs, _split_exponents(tree, exponents), strict=True)
    ]
    return torch.cat(below, dim=-1)


def _norm(x: Tensor, p: Tensor) -> Tensor:
    """Return the Lp norm (Σ_k x_k^p)^(1/p) of x ≥ 0: x [B, *T, l], p [*T] -> [B, *T]."""
    # The largest entry cancels out of the norm and of its gradient. Dividing by it prevents overflow and underflow.
    peak = x.detach().amax(-1)
    zero = peak == 0
    total = power(x / torch.where(zero, 1.0, peak).unsqueeze(-1), p.unsqueeze(-1)).sum(-1)
    return peak * torch.where(zero, 1.0, total) ** (1 / p)


def _parts(tree: Tree, z: Tensor, exponents: Tensor) -> Iterator[tuple[Tree, Tensor, Tensor]]:
    """Yield each run's tree with its part of z [B, *T, number, n_child] and exponents [*T, number, I_child]."""
    leaves = z.split([number * child.n_leaves for number, child in tree.runs], dim=-1)
    for (number, child), own, z_own in zip(tree.runs, _split_exponents(tree, exponents), leaves, strict=True):
        yield child, z_own.unflatten(-1, (number, child.n_leaves)), own


def _split_exponents(tree: Tree, exponents: Tensor) -> list[Tensor]:
    """Return each run's part of the exponents, [*T, number, I_child]."""
    shares = exponents[..., 1:].split([number * child.n_inner for number, child in tree.runs], dim=-1)
    return [own.unflatten(-1, (number, child.n_inner)) for (number, child), own in zip(tree.runs, shares, strict=True)]

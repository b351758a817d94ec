"""Shared parts of all mutual information gaps: the factors' occurring values, Eq. 6 of the β-TCVAE paper, the result.

Legend: N examples; L latent variables; F factors that take two values or more; V values of a factor that occur;
Q groups of rows; R repeats. Information and entropies are in nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hfvae_runner.metrics._subject import UNKNOWN, Categories, Floats, Integers, Truth, undefined

ALL_NUISANCE = "every factor that varies is a nuisance"


@dataclass(frozen=True)
class Partition:
    """The rows, partitioned by the value of one factor; values that do not occur have no part.

    Attributes:
        name, nuisance: the factor's.
        part: [N], 0 … V−1, or UNKNOWN.
        counts: [V], rows in each part.
    """

    name: str
    nuisance: bool
    part: Integers
    counts: Integers

    @property
    def probabilities(self) -> Floats:
        """p(v), [V], among the rows whose value is known."""
        return np.asarray(self.counts / self.counts.sum())

    @property
    def entropy(self) -> float:
        """H(v), nats."""
        return float(-(self.probabilities * np.log(self.probabilities)).sum())


@dataclass(frozen=True)
class Groups:
    """Overlapping groups of rows: for each factor, the rows where it is known, and those of each value.

    Attributes:
        of_row: [C, N], 0 … Q−1, or UNKNOWN: each row's group in each of C partitions of the rows.
        sizes: [Q], the number of rows in each group.
        known: [F], the group of all rows where the factor is known; factors that are known for the same rows share it.
        values: the groups of each factor's values.
    """

    of_row: Integers
    sizes: Integers
    known: Integers
    values: tuple[slice, ...]

    @cached_property
    def members(self) -> list[Integers]:
        """The rows of each group, Q arrays."""
        members: list[Integers] = []
        for partition in self.of_row:
            order = np.argsort(partition, kind="stable")
            bounds = np.arange(len(members), partition.max() + 2)
            # The rows before the first bound have no group.
            members += np.split(order, np.searchsorted(partition[order], bounds))[1:-1]
        return members


@dataclass(frozen=True)
class Factors:
    """The factors for which a gap can be measured, and the names of all.

    Attributes:
        names: of all factors.
        partitions: of the factors with two or more occurring values; for the others H(v) = 0.
    """

    names: tuple[str, ...]
    partitions: tuple[Partition, ...]

    @classmethod
    def of(cls, truth: Sequence[Truth]) -> "Factors":
        partitions = [partition_of(factor) for factor in truth]
        return cls(tuple(factor.name for factor in truth), tuple(each for each in partitions if len(each.counts) > 1))

    @property
    def entropies(self) -> Floats:
        """H(v) of each partition, [F], nats."""
        return np.array([each.entropy for each in self.partitions])

    @property
    def counted(self) -> Integers:
        """The indices of the partitions that count in means: those of factors that are not nuisance."""
        return np.flatnonzero([not each.nuisance for each in self.partitions])

    def why_none(self, variables: int, what: str = "latent variable") -> str | None:
        """Return the reason why no gap is defined, or None if one is."""
        if not self.names:
            return "nothing is known of the examples"
        if not self.partitions:
            return "no factor takes two values or more"
        if variables < 2:
            return f"a gap is between two {what}s, and there is {variables or 'none'}"
        return None

    def mean(self, key: str, of_factor: Floats) -> dict[str, object]:
        """Return the mean of [F] over the factors that are not nuisance, or null with the reason."""
        if len(self.counted) == 0:
            return undefined([key], ALL_NUISANCE)
        return {key: float(of_factor[self.counted].mean())}

    def each(self, of_factor: Floats) -> dict[str, float | None]:
        """Return [F] by factor name; None for a factor with a single value."""
        varying = {each.name: float(value) for each, value in zip(self.partitions, of_factor, strict=True)}
        return {name: varying.get(name) for name in self.names}

    def informations(self, variables: Sequence[str], information: Floats) -> dict[str, dict[str, float]]:
        """Return [L, F] by the names of factor and variable."""
        return {
            each.name: dict(zip(variables, of_variable.tolist(), strict=True))
            for each, of_variable in zip(self.partitions, information.T, strict=True)
        }

    def known_of(self, rows: Integers, at_least: int) -> "Factors":
        """Return the factors without the partitions that are known for fewer than ``at_least`` of these rows."""
        kept = [each for each in self.partitions if (each.part[rows] != UNKNOWN).sum() >= at_least]
        return Factors(self.names, tuple(kept))

    def groups(self) -> Groups:
        """Return the groups of rows of all partitions."""
        of_row, sizes, values, known = [], [], [], []
        group_of_known: dict[bytes, int] = {}
        queue = 0
        for each in self.partitions:
            is_known = each.part != UNKNOWN
            key = np.packbits(is_known).tobytes()
            if key not in group_of_known:
                group_of_known[key] = queue
                of_row.append(np.where(is_known, queue, UNKNOWN))
                sizes.append([int(is_known.sum())])
                queue += 1
            known.append(group_of_known[key])
            values.append(slice(queue, queue + len(each.counts)))
            of_row.append(np.where(is_known, each.part + queue, UNKNOWN))
            sizes.append(each.counts.tolist())
            queue += len(each.counts)
        return Groups(np.stack(of_row), np.concatenate(sizes).astype(np.int64), np.array(known), tuple(values))


def partition_of(factor: Truth) -> Partition:
    """Partition the rows by the factor's values."""
    is_known = factor.values != UNKNOWN
    counts = np.bincount(factor.values[is_known], minlength=factor.size)
    rank = np.cumsum(counts > 0) - 1
    part = np.where(is_known, rank[factor.values], UNKNOWN)
    return Partition(factor.name, factor.nuisance, part, counts[counts > 0])


def gaps(information: Floats, entropies: Floats) -> Floats:
    """Return the gap of each factor, [..., F], in 0 … 1, from I(z_l; v_f) [..., L, F], L ≥ 2, and H(v_f) [F].

    Estimates below 0 count as 0, as in the authors' code.
    """
    ranked = np.sort(np.maximum(information, 0), axis=-2)
    # β-TCVAE, Eq. 6.
    return np.asarray((ranked[..., -1, :] - ranked[..., -2, :]) / entropies)


def categorical_information(variable: Categories, partition: Partition) -> float:
    """Return the exact I(c; v), nats: q(c|v) is the mean of q(c|x) over the rows with that value."""
    is_known = partition.part != UNKNOWN
    joint = np.zeros((variable.probabilities.shape[1], len(partition.counts)))
    for category, column in enumerate(variable.probabilities[is_known].T):
        joint[category] = np.bincount(partition.part[is_known], weights=column, minlength=joint.shape[1])
    return information_of(joint)


def information_of(joint: Floats) -> float:
    """Return the mutual information, nats, of a table of joint frequencies [A, B], which need not sum to 1."""
    joint = joint / joint.sum()
    row, column = np.nonzero(joint)
    p = joint[row, column]
    # Use a difference of logarithms: the product of two tiny marginals can underflow where the joint does not.
    log_ratio = np.log(p) - np.log(joint.sum(1)[row]) - np.log(joint.sum(0)[column])
    return max(float((p * log_ratio).sum()), 0.0)

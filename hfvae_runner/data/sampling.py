"""``dataset.sampling``: how often training examples are drawn, as a joint weighting of factor values (β-TCVAE 6.1).

    {preset: D, factors: [azimuth, elevation], fixed: {identity: 0, lighting: 5}}
    {weights: [[1, 2], [2, 4]], factors: [shape, hair]}

A factor is one of the data set's, or ``label``. An example's probability p(n) is in proportion to the weight of
its values. An epoch is N rows drawn from p(n), see ``draws``; to the estimators of the aggregate posterior those rows
are the data set, so that their 1/N stays what it is, and the training split is evaluated on N such rows, too. The test
split is left alone: it shows the same world without the bias. A second test split, ``test_sampled``, is the same one
drawn with the weights.

Shapes: N examples; K factors that are weighed; V their numbers of values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hfvae_runner.data._dataset import Dataset, Split, tested_on_train
from hfvae_runner.errors import ConfigError, nearest

PRESETS = ("A", "B", "C", "D")
LABEL = "label"
_KEYS = ("preset", "weights", "factors", "fixed")
_WHERE = "dataset.sampling"
_RATIO = 4.0  # β-TCVAE, Fig. 5: "the most likely sample is 4 times as likely as the least likely sample"


def restricted(dataset: Dataset, sampling: object) -> Dataset:
    """Return the data set of the examples that have the values under ``fixed``, in all its splits.

    Raises:
        ConfigError: ``dataset.sampling`` is not a sampling, or not one of this data set.
    """
    fixed = _section(sampling).get("fixed")
    if fixed is None:
        return dataset
    if not isinstance(fixed, Mapping) or not fixed:
        raise ConfigError(f"{_WHERE}.fixed={fixed!r}: expected values by factor, such as {{lighting: 5}}")

    def part(split: Split) -> Split:
        kept = torch.ones(len(split), dtype=torch.bool)
        for name, value in fixed.items():
            kept &= _fixed_at(dataset, split, name, value)
        return split.take(torch.nonzero(kept)[:, 0])

    train, test = part(dataset.train), part(dataset.test)
    said = ", ".join(f"{name}={value}" for name, value in fixed.items())
    note = f"only the examples of {said}, {len(train):,} of {len(dataset.train):,} to train on"
    left = replace(dataset, train=train, test=test, notes={**dataset.notes, "fixed": note})
    if dataset.tested_on_train:
        left = tested_on_train(left)
    for what, split in {"training": left.train, "test": left.test}.items():
        if len(split) < 2:
            raise ConfigError(f"{_WHERE}.fixed of {said}: {len(split)} {what} examples have it; expected two or more")
    return left


def weighted(dataset: Dataset, sampling: object) -> Dataset:
    """Return the data set with weights of its training examples, and of a second test split.

    Raises:
        ConfigError: ``dataset.sampling`` is not a sampling, or not one of this data set.
    """
    section = _section(sampling)
    names = section.get("factors")
    if "preset" not in section and "weights" not in section:
        if names is not None:
            raise ConfigError(f"{_WHERE}.factors={names}: expected {_WHERE}.preset or {_WHERE}.weights with it")
        return dataset
    if "preset" in section and "weights" in section:
        raise ConfigError(f"{_WHERE} has preset and weights; expected one of them")
    if (
        not isinstance(names, Sequence)
        or isinstance(names, str)
        or not names
        or len(set(map(str, names))) != len(names)
    ):
        raise ConfigError(f"{_WHERE}.factors={names!r}: expected a list of different factors, such as [x, y]")
    values, sizes = zip(*(values_of(dataset, dataset.train, name, f"{_WHERE}.factors") for name in names), strict=True)
    if "preset" in section:
        table, how = _preset(section["preset"], names, sizes), f"by β-TCVAE's configuration {section['preset']}"
    else:
        table, how = _table(section["weights"], names, sizes), f"by weights from {section['weights']}"
    note = f"training examples are drawn {how} over {', '.join(names)}; test is not weighed, test_sampled is"
    left = replace(dataset, notes={**dataset.notes, "sampling": note})
    if bool((table == table.flatten()[0]).all()):
        return left
    of_test = tuple(values_of(dataset, dataset.test, name, f"{_WHERE}.factors")[0] for name in names)
    train, test = replace(dataset.train, weights=table[values]), replace(dataset.test, weights=table[of_test])
    return replace(left, train=train, test_sampled=test)


def draws(n: int, weights: Tensor | None, generator: torch.Generator) -> Tensor:
    """Return the rows of one epoch, int64 [N], in random order.

    A permutation where all weights are alike; else each example comes N·p(n) times on average, and never more than one
    time more or less than that (systematic sampling, from a random order): a batch repeats few examples.

    Args:
        n: N.
        weights: [N] float64, all above 0, not normalised; None for all alike.
        generator: on the CPU.
    """
    order = torch.randperm(n, generator=generator)
    if weights is None:
        return order
    cumulative = weights[order].cumsum(0)
    start = torch.rand((), generator=generator, dtype=torch.float64)
    places = (torch.arange(n, dtype=torch.float64) + start) / n * cumulative[-1]
    # Rounding may put the last place at the very end.
    drawn = torch.searchsorted(cumulative, places, right=True).clamp_max(n - 1)
    return order[drawn[torch.randperm(n, generator=generator)]]


def preset_weights(preset: str, sizes: tuple[int, int]) -> Tensor:
    """Return the weights of two factors' values, [V, V] float64, from 1 to 4 (β-TCVAE, Fig. 5a).

    - ``A``: all alike.
    - ``B``: independent, larger values of both more often.
    - ``C``: uncorrelated but dependent, the four corners most often, the rest of the middle lines least.
    - ``D``: correlated and dependent, the diagonal of equal values most often.

    The paper fixes these properties and the ratio of 4, and shows the rest as a picture. Here the weight is 4^t, with t
    from 0 to 1 affine in u + v (B), |u|·|v| (C), u·v (D), where u and v go from −1 to 1 over the values.

    Args:
        sizes: V of either, from 2 on; from 3 on for C.
    """
    u, v = (torch.linspace(-1, 1, size, dtype=torch.float64) for size in sizes)
    u, v = u[:, None], v[None, :]
    if preset == "A":
        return torch.ones(sizes, dtype=torch.float64)
    score = {"B": u + v, "C": u.abs() * v.abs(), "D": u * v}[preset]
    least, most = score.min(), score.max()
    return torch.pow(_RATIO, (score - least) / (most - least))


def values_of(dataset: Dataset, split: Split, name: object, where: str) -> tuple[Tensor, int]:
    """Return a factor's value of each example, int64 [N], and how many values it has; ``label`` is one where there are
    labels.

    Raises:
        ConfigError: the data set has no such factor; ``where`` is the key that named it.
    """
    factors = dataset.factors
    known = () if factors is None or split.factors is None else factors.names
    if name in known:
        assert factors is not None and split.factors is not None
        k = known.index(str(name))
        return split.factors[:, k].long(), factors.sizes[k]
    if name == LABEL and split.labels is not None and dataset.n_classes is not None:
        return split.labels, dataset.n_classes
    names = [*known, *([LABEL] if split.labels is not None else [])]
    expected = f"one of {', '.join(names)}" if names else "null: the data set has neither factors nor labels"
    raise ConfigError(f"{where}: the data set has no factor {name!r}; expected {expected}{nearest(name, names)}")


def magnitudes_of(dataset: Dataset, split: Split, name: object, where: str) -> Tensor:
    """Return the number that a factor's value of each example stands for, float64 [N]; the value itself where that is
    it.

    Raises:
        ConfigError: as ``values_of``.
    """
    values, _ = values_of(dataset, split, name, where)
    if split.magnitudes is None or dataset.factors is None or name not in dataset.factors.names:
        return values.double()
    return split.magnitudes[:, dataset.factors.names.index(str(name))]


def _section(sampling: object) -> Mapping[str, object]:
    if sampling is None:
        return {}
    if not isinstance(sampling, Mapping) or not sampling:
        raise ConfigError(f"{_WHERE}={sampling!r}: expected null or {{preset: B, factors: [x, y]}}")
    for key in sampling:
        if key not in _KEYS:
            raise ConfigError(f"{_WHERE}.{key}: unknown key; expected one of {', '.join(_KEYS)}{nearest(key, _KEYS)}")
    return sampling


def _fixed_at(dataset: Dataset, split: Split, name: object, value: object) -> Tensor:
    values, size = values_of(dataset, split, name, f"{_WHERE}.fixed")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < size:
        raise ConfigError(f"{_WHERE}.fixed.{name}={value!r}: expected a whole number from 0 to {size - 1}")
    return values == value


def _preset(preset: object, names: Sequence[str], sizes: tuple[int, ...]) -> Tensor:
    if preset not in PRESETS:
        raise ConfigError(f"{_WHERE}.preset={preset!r}: expected one of {', '.join(PRESETS)}")
    if len(sizes) != 2:
        raise ConfigError(f"{_WHERE}.factors has {len(sizes)} factors; expected two for {_WHERE}.preset={preset}")
    fewest = {"A": 1, "C": 3}.get(str(preset), 2)
    for name, size in zip(names, sizes, strict=True):
        if size < fewest:
            raise ConfigError(
                f"{_WHERE}.preset={preset}: {name} has {size} values; expected a factor of {fewest} or more"
            )
    return preset_weights(str(preset), (sizes[0], sizes[1]))


def _table(weights: object, names: Sequence[str], sizes: tuple[int, ...]) -> Tensor:
    """Return the weights that the config spells out, [V, ...]: a list of lists, the first factor outermost."""
    try:
        table = torch.tensor(weights, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        table = torch.empty(0)
    if tuple(table.shape) != sizes:
        shape = "×".join(map(str, sizes))
        raise ConfigError(f"{_WHERE}.weights: expected {shape} numbers in nested lists, for {', '.join(names)}")
    if not bool(torch.isfinite(table).all()) or not bool((table > 0).all()):
        raise ConfigError(
            f"{_WHERE}.weights: expected numbers above 0; dataset.holdout or {_WHERE}.fixed leave examples out"
        )
    return table

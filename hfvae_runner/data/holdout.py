"""``dataset.holdout``: takes the examples that match a condition out of training, to be tested on (HFVAE 5.5).

    {all: [{label: 7}, {measure: ink, above_quantile: 0.8}]}              thick sevens
    {all: [{label: 0}, {measure: width, below_quantile: 0.2}]}            narrow zeros
    {any: [{factor: shape, equals: [0, 2]}, {factor: scale, above: 3}]}
    {all: [{label: 7}, {run: outputs/full, factor: "style[3]", above_quantile: 0.8}]}
    {trained: true, label: 7}                                             trained on as well, to compare with

They become a third split, ``Dataset.holdout``. The test split stays whole, so that its numbers can be held against
those of a run that was trained on everything. (The paper says no more than that the pruned data are the test data.)

A value is above or below a bound strictly. A quantile is one of the training examples that match all conditions before
it in its list: after {label: 7} it is one among the sevens.

Shapes: N training examples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hfvae_runner.data._dataset import Dataset
from hfvae_runner.data.image_statistics import MEASURES, measured
from hfvae_runner.data.sampling import magnitudes_of, values_of
from hfvae_runner.errors import ConfigError, nearest

LatentMeans = Callable[[str, str], Tensor]
"""(run folder, factor's name) -> that finished run's posterior mean of each training example, float [N]."""

_WHERE = "dataset.holdout"
_ABOVE, _BELOW = ("above", "above_quantile"), ("below", "below_quantile")
_BOUNDS = (*_ABOVE, *_BELOW)
# By the key that says what is asked; `run` before `factor`, since it has a factor of its own.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "any": (),
    "label": (),
    "attribute": ("equals",),
    "measure": _BOUNDS,
    "run": ("factor", *_BOUNDS),
    "factor": ("equals", *_BOUNDS),
}


def pruned(dataset: Dataset, condition: object, latent_means: LatentMeans) -> Dataset:
    """Return the data set without the training examples that match, which become its ``holdout``.

    Args:
        condition: the config's; None leaves the data set alone. With ``trained: true`` the training split stays whole.
        latent_means: asked where a condition names a run.

    Raises:
        ConfigError: the condition is not one, or not one of this data set; fewer than two examples match, or are left.
    """
    if condition is None:
        return dataset
    condition, trained = _trained(condition)
    everything = torch.ones(len(dataset.train), dtype=torch.bool)
    matching = _Matcher(dataset, latent_means).match(condition, _WHERE, everything)
    held, n = int(matching.sum()), len(dataset.train)
    if not 2 <= held <= n - 2:
        raise ConfigError(f"{_WHERE} matches {held:,} of {n:,} training examples; expected from 2 to {n - 2:,}")
    taken = dataset.train.take(torch.nonzero(matching)[:, 0])
    if trained:
        note = f"{held:,} of {n:,} training examples are evaluated apart, and trained on"
        return replace(dataset, holdout=taken, notes={**dataset.notes, "holdout": note})
    kept = dataset.train.take(torch.nonzero(~matching)[:, 0])
    note = f"{held:,} of {n:,} training examples are held out; the test split stays whole, those that match included"
    return replace(dataset, train=kept, holdout=taken, notes={**dataset.notes, "holdout": note})


def _trained(condition: object) -> tuple[object, bool]:
    """Return the condition without ``trained``, and the value of that."""
    if not isinstance(condition, Mapping) or "trained" not in condition:
        return condition, False
    trained = condition["trained"]
    if not isinstance(trained, bool):
        raise ConfigError(f"{_WHERE}.trained={trained!r}: expected true or false")
    return {key: value for key, value in condition.items() if key != "trained"}, trained


@dataclass(frozen=True)
class _Matcher:
    dataset: Dataset
    latent_means: LatentMeans

    def match(self, condition: object, where: str, among: Tensor) -> Tensor:
        """Which of the examples ``among`` match, bool [N] -> bool [N]; ``where`` names the condition in messages."""
        kind, section = _kind(condition, where)
        match kind:
            case "all":
                for place, inner in _listed(section, kind, where):
                    among = self.match(inner, place, among)
                return among
            case "any":
                found = [self.match(inner, place, among) for place, inner in _listed(section, kind, where)]
                return torch.stack(found).any(0)
            case "label":
                return among & self._label(section["label"], where)
            case "attribute":
                return among & self._attribute(section, where)
            case "measure":
                return among & _bounded(self._measure(section["measure"], where), section, where, among)
            case "run":
                return among & _bounded(self._latent(section, where), section, where, among)
            case _:
                return among & self._factor(section, where, among)

    def _label(self, given: object, where: str) -> Tensor:
        labels, names = self.dataset.train.labels, self.dataset.label_names
        if labels is None or names is None:
            raise ConfigError(f"{where}.label={given}: the data set has no labels; expected another condition")
        classes = []
        for each in given if isinstance(given, list) else [given]:
            if isinstance(each, int) and not isinstance(each, bool) and 0 <= each < len(names):
                classes.append(each)
            elif isinstance(each, str) and each in names:
                classes.append(names.index(each))
            else:
                expected = f"a number from 0 to {len(names) - 1} or one of {', '.join(names)}"
                raise ConfigError(f"{where}.label={each!r}: expected {expected}{nearest(each, names)}")
        return torch.isin(labels, torch.tensor(classes, dtype=labels.dtype))

    def _attribute(self, section: Mapping[str, object], where: str) -> Tensor:
        name, wanted = section["attribute"], section.get("equals", True)
        attributes, names = self.dataset.train.attributes, self.dataset.attribute_names
        if attributes is None or names is None:
            raise ConfigError(f"{where}.attribute={name}: the data set has no attributes; expected another condition")
        if name not in names:
            known = ", ".join(names)
            raise ConfigError(f"{where}.attribute={name!r}: expected one of {known}{nearest(name, names)}")
        if not isinstance(wanted, bool):
            raise ConfigError(f"{where}.equals={wanted!r}: expected true or false")
        return attributes[:, names.index(str(name))] == wanted

    def _factor(self, section: Mapping[str, object], where: str, among: Tensor) -> Tensor:
        asked = (self.dataset, self.dataset.train, section["factor"], f"{where}.factor")
        if "equals" not in section:
            return _bounded(magnitudes_of(*asked), section, where, among)
        values, size = values_of(*asked)
        if bounds := [key for key in _BOUNDS if key in section]:
            raise ConfigError(f"{where} has equals and {bounds[0]}; expected one of them")
        given = section["equals"]
        wanted = given if isinstance(given, list) else [given]
        for each in wanted:
            if not isinstance(each, int) or isinstance(each, bool) or not 0 <= each < size:
                raise ConfigError(f"{where}.equals={each!r}: expected whole numbers from 0 to {size - 1}")
        return torch.isin(values, torch.tensor(wanted, dtype=values.dtype))

    def _measure(self, name: object, where: str) -> Tensor:
        if name not in MEASURES:
            known = ", ".join(MEASURES)
            raise ConfigError(f"{where}.measure={name!r}: expected one of {known}{nearest(name, MEASURES)}")
        x = self.dataset.train.x
        if len(x.shape) != 4 or x[torch.zeros(1, dtype=torch.int64)].dtype != torch.uint8:
            raise ConfigError(f"{where}.measure={name}: the examples are not images; expected another condition")
        return measured(str(name), x)

    def _latent(self, section: Mapping[str, object], where: str) -> Tensor:
        for key in ("run", "factor"):
            if not isinstance(section.get(key), str):
                expected = "the folder of a finished run" if key == "run" else "the name of one of its factors"
                raise ConfigError(f"{where}.{key}={section.get(key)!r}: expected {expected}")
        return self.latent_means(str(section["run"]), str(section["factor"])).double()


def _kind(condition: object, where: str) -> tuple[str, Mapping[str, object]]:
    if not isinstance(condition, Mapping):
        raise ConfigError(f"{where}={condition!r}: expected a condition such as {{label: 7}}")
    kind = next((kind for kind in _KINDS if kind in condition), None)
    if kind is None:
        given = ", ".join(map(str, condition)) or "nothing"
        known = ", ".join(_KINDS)
        raise ConfigError(f"{where} has {given}; expected one of {known}{nearest(given, _KINDS)}")
    allowed = (kind, *_KINDS[kind])
    for key in condition:
        if key not in allowed:
            own = ", ".join(_KINDS[kind]) or "nothing"
            combined = " (all: [...] combines conditions)" if key in _KINDS else ""
            raise ConfigError(f"{where}.{key}: {kind} goes with {own}{combined}{nearest(key, _KINDS[kind])}")
    return kind, condition


def _listed(section: Mapping[str, object], kind: str, where: str) -> list[tuple[str, object]]:
    conditions = section[kind]
    if not isinstance(conditions, Sequence) or isinstance(conditions, str) or not conditions:
        raise ConfigError(f"{where}.{kind}={conditions!r}: expected a list of conditions, such as [{{label: 7}}]")
    return [(f"{where}.{kind}[{i}]", inner) for i, inner in enumerate(conditions)]


def _bounded(values: Tensor, section: Mapping[str, object], where: str, among: Tensor) -> Tensor:
    """Where the values, float64 [N], are within the bounds; quantiles are those of the values ``among``."""
    if not any(key in section for key in _BOUNDS):
        raise ConfigError(f"{where} has no bound; expected one of {', '.join(_BOUNDS)}")
    for pair in (_ABOVE, _BELOW):
        if all(key in section for key in pair):
            raise ConfigError(f"{where} has {' and '.join(pair)}; expected one of them")
    inside = torch.ones_like(among)
    for key in _BOUNDS:
        if key in section:
            bound = _number(section[key], f"{where}.{key}", quantile=key.endswith("quantile"))
            if key.endswith("quantile"):
                if not bool(among.any()):
                    raise ConfigError(f"{where}.{key}={bound:g}: no example matches the conditions before it")
                bound = _quantile(values[among], bound)
            inside &= values > bound if key in _ABOVE else values < bound
    return inside


def _quantile(values: Tensor, share: float) -> float:
    """By linear interpolation; torch.quantile refuses more than 2**24 values."""
    ordered = values.sort().values
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return float(torch.lerp(ordered[low], ordered[high], place - low))


def _number(value: object, where: str, *, quantile: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -float("inf") < value < float("inf"):
        raise ConfigError(f"{where}={value!r}: expected a number")
    if quantile and not 0 < value < 1:
        raise ConfigError(f"{where}={value!r}: expected a share between 0 and 1")
    return float(value)

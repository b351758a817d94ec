"""Parses an objective's YAML: its terms, with weights, targets and options.

A line of ``objective.terms`` is either a term's name and its weight (a number, a schedule or a controller)::

    group_tc: 4

or a name of its own with more options::

    kl_discrete: {term: kl, blocks: [discrete], weight: 30, target: {linear: [0, 5, 25000]}, cap: log_categories}

This module does not need torch, so that a misspelt term is refused at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hfvae_runner.config import catalogue, schedules
from hfvae_runner.config.control import PIControl, Weight, parse_weight
from hfvae_runner.config.schedules import Schedule, always_zero
from hfvae_runner.errors import ConfigError, nearest

CAPS = ("log_categories",)
_OF_DECODER = ("reconstruction", "adversarial")
_KEYS = ("term", "weight", "target", "cap")
_WEIGHTS = (*schedules.KINDS, schedules.CONTROL)


@dataclass(frozen=True)
class PenaltySpec:
    """One weighted term: ``weight * term``, or ``weight * |term - target|``.

    Attributes:
        name: its name in history.csv and metrics.json.
        term: a built-in term's name.
        weight: the weight as a function of the optimiser step, or its controller.
        target: the target as a function of the optimiser step, in nats per example; None for a plain weight.
        cap: ``log_categories`` keeps the target at or below the largest KL that the named discrete blocks can have,
            the sum of log K (JointVAE's authors, for Eq. 7). None does not limit the target.
        options: the term's keyword arguments.
    """

    name: str
    term: str
    weight: Weight
    target: Schedule | None = None
    cap: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def structure(self) -> tuple[object, ...]:
        """What of the weight decides what is built; all else of it may differ between the members of a stack."""
        if isinstance(self.weight, PIControl):
            return ("controlled", self.weight.window)
        return ("absent" if self.absent else "scheduled",)

    @property
    def absent(self) -> bool:
        """Whether the objective is built without the term: its weight is 0 at every step."""
        return not isinstance(self.weight, PIControl) and always_zero(self.weight)


def parse_terms(spec: Mapping[str, object]) -> dict[str, PenaltySpec]:
    """Parse every line of ``objective.terms``.

    Raises:
        ConfigError: a term, key or schedule is unknown, or no term compares the decoder's output with the data.
    """
    penalties = {name: _parse(name, value) for name, value in spec.items()}
    if not any(penalty.term in _OF_DECODER and not penalty.absent for penalty in penalties.values()):
        raise ConfigError(
            "objective.terms has no term that compares the decoder's output with the data; expected "
            "e.g. `reconstruction: 1`"
        )
    return penalties


def _parse(name: str, value: object) -> PenaltySpec:
    where = f"objective.terms.{name}"
    spelt_out = isinstance(value, Mapping) and not (len(value) == 1 and next(iter(value)) in _WEIGHTS)
    if not spelt_out:
        return PenaltySpec(name, _known_term(name, where), parse_weight(value, where))
    assert isinstance(value, Mapping)
    term = _known_term(value.get("term", name), where)
    allowed = (*_KEYS, *catalogue.terms()[term])
    for key in value:
        if key not in allowed:
            raise ConfigError(
                f"{where}: unknown key {key!r}, expected one of {', '.join(allowed)}{nearest(key, allowed)}"
            )
    cap = value.get("cap")
    if cap is not None and cap not in CAPS:
        raise ConfigError(f"{where}.cap: unknown cap {cap!r}, expected {' or '.join(CAPS)}{nearest(cap, CAPS)}")
    if cap is not None and value.get("target") is None:
        raise ConfigError(f"{where}.cap bounds a target, but there is no target")
    weight = parse_weight(value.get("weight", 1), f"{where}.weight")
    if isinstance(weight, PIControl) and value.get("target") is not None:
        raise ConfigError(f"{where}.target: the weight's {schedules.CONTROL} has a target; expected one of the two")
    return PenaltySpec(
        name=name,
        term=term,
        weight=weight,
        target=None if value.get("target") is None else schedules.parse(value["target"], f"{where}.target"),
        cap=cap,
        options={key: option for key, option in value.items() if key not in _KEYS},
    )


def _known_term(name: object, where: str) -> str:
    names = catalogue.terms()
    if not isinstance(name, str) or name not in names:
        raise ConfigError(f"{where}: unknown term {name!r}, expected one of {', '.join(names)}{nearest(name, names)}")
    return name

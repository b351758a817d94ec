"""The controlled weight of a term: a PI controller keeps the term at a target (ControlVAE, Shao et al. 2020).

In a config it stands where the weight of a term does::

    {pi_control: {target: 18, k_p: 0.01, k_i: 0.001, least: 1, most: null, start: null, window: 1}}

All but ``target`` have the defaults of ``PIControl``. Unlike a schedule, such a weight is no function of the step: it
depends on the term's values at the steps before. ``objectives.controller`` computes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hfvae_runner.config import schedules
from hfvae_runner.config.schedules import CONTROL, Schedule
from hfvae_runner.config.validation import Count, NonNegative, Positive, checked
from hfvae_runner.errors import ConfigError, nearest


@dataclass(frozen=True)
class PIControl:
    """A proportional-integral controller of a term's weight.

    Attributes:
        target: the value at which the term is kept, in nats per example, as a function of the optimiser step.
        k_p: gain of the proportional part, which lies between 0 and ``k_p``.
        k_i: gain of the integral part: the weight changes by this, per step and per nat of error.
        least: the smallest weight.
        most: the largest weight; None for no limit.
        start: the weight at an error of 0 before the first step; None is ``least + k_p / 2``, an integral of 0.
        window: how many of the latest values of the term are averaged; those before the first step count as 0.
    """

    target: Schedule
    k_p: float = 0.01
    k_i: float = 0.001
    least: float = 0.0
    most: float | None = None
    start: float | None = None
    window: int = 1

    @property
    def first_integral(self) -> float:
        """The integral part before the first step."""
        return 0.0 if self.start is None else self.start - self.least - self.k_p / 2


Weight = Schedule | PIControl
"""The weight of a term: a function of the step, or controlled."""

SETTINGS: Mapping[str, Any] = {
    "k_p": NonNegative,
    "k_i": NonNegative,
    "least": NonNegative,
    "most": Positive | None,
    "start": NonNegative | None,
    "window": Count,
}
"""The types of a controller's settings but its target."""
_KEYS = ("target", *SETTINGS)


def parse_weight(value: object, where: str) -> Weight:
    """Parse the weight of a term as written in a config.

    Args:
        value: a number, a schedule, or a controller as in the module's docstring.
        where: the config key, for the message.

    Raises:
        ConfigError: the value is none of these, or a setting of the controller is unknown or out of its range.
    """
    if not (isinstance(value, Mapping) and list(value) == [CONTROL]):
        return schedules.parse(value, where)
    where, settings = f"{where}.{CONTROL}", value[CONTROL]
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where}={settings!r}: expected a section with keys of its own, such as {{target: 18}}")
    for key in settings:
        if key not in _KEYS:
            raise ConfigError(f"{where}.{key}: unknown key; expected one of {', '.join(_KEYS)}{nearest(key, _KEYS)}")
    if "target" not in settings:
        raise ConfigError(f"{where}.target is missing from the config; expected a number or a schedule")
    own = {key: checked(SETTINGS[key], each, f"{where}.{key}") for key, each in settings.items() if key != "target"}
    control = PIControl(schedules.parse(settings["target"], f"{where}.target"), **own)
    if control.most is not None and control.most <= control.least:
        raise ConfigError(f"{where}.most={control.most:g}: expected a number above least={control.least:g}, or null")
    if control.start is not None and not control.least <= control.start <= (control.most or control.start):
        raise ConfigError(f"{where}.start={control.start:g}: expected a number from `least` to `most`, or null")
    return control

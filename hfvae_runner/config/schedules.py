"""Schedules: pure functions of the optimiser step, for any weight or target.

In a config a schedule is a number, or one of::

    {linear: [start, end, steps]}          linear from start at step 0 to end at `steps`, then end
    {cosine: [start, end, steps]}          half a cosine wave from start to end, then end
    {piecewise: [[0, a], [1000, b], ...]}  linear between the given (step, value) points, constant outside
    {stairs: [start, end, rise, every]}    `rise` closer to end at each multiple of `every` steps, then end
    {stairs: [start, end, rise, every, ramp]}    likewise, but each rise is spread over `ramp` steps
    {sum: [a, b, ...]}                     the sum of numbers and schedules
    {product: [c, a]}                      a number times a number or schedule
    {negative: a}                          minus a number or schedule

``sum``, ``product`` and ``negative`` are for objectives with weights such as α + λ − 1 or 10·λ.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hfvae_runner.errors import ConfigError, nearest


class Schedule(Protocol):
    """Protocol of a value for every optimiser step."""

    def __call__(self, step: int) -> float:
        """Return the value at optimiser step ``step``."""

    @property
    def last_change(self) -> int:
        """The step from which the value is constant."""


def always_zero(schedule: Schedule) -> bool:
    """Return whether the value is 0 at every step."""
    return schedule.last_change == 0 and schedule(0) == 0


@dataclass(frozen=True)
class Pieces:
    """A schedule of linear or cosine-shaped pieces through ``(step, value)`` points; constant outside."""

    points: tuple[tuple[int, float], ...]
    cosine: bool = False

    def __call__(self, step: int) -> float:
        """Return the value at optimiser step ``step``."""
        right = bisect_right(self.points, step, key=lambda point: point[0])
        if right == 0:
            return self.points[0][1]
        if right == len(self.points):
            return self.points[-1][1]
        (step_0, value_0), (step_1, value_1) = self.points[right - 1], self.points[right]
        progress = (step - step_0) / (step_1 - step_0)
        if self.cosine:
            progress = (1 - math.cos(math.pi * progress)) / 2
        return value_0 + (value_1 - value_0) * progress

    @property
    def last_change(self) -> int:
        """The step from which the value is constant."""
        return self.points[-1][0]


@dataclass(frozen=True)
class Sum:
    """The weighted sum of several schedules."""

    parts: tuple[tuple[float, Schedule], ...]

    def __call__(self, step: int) -> float:
        """Return the value at optimiser step ``step``."""
        return sum(weight * part(step) for weight, part in self.parts)

    @property
    def last_change(self) -> int:
        """The step from which the value is constant."""
        return max(part.last_change for _weight, part in self.parts)


@dataclass(frozen=True)
class Stairs:
    """A schedule of equal rises (or falls) at regular steps, each spread over ``ramp`` steps; then constant."""

    start: float
    end: float
    rise: float
    every: int
    ramp: int = 1

    def __call__(self, step: int) -> float:
        """Return the value at optimiser step ``step``."""
        if step >= self.last_change:
            return self.end
        begun, within = divmod(step, self.every)
        done = 0.0 if begun == 0 else begun - 1 + min(1.0, (within + 1) / self.ramp)
        return self.start + math.copysign(self.rise, self.end - self.start) * done

    @property
    def last_change(self) -> int:
        """The step from which the value is constant."""
        # Less a rounding error, which would count a last rise of nothing.
        rises = abs(self.end - self.start) / self.rise - 1e-9
        if rises <= 0:
            return 0
        whole = math.ceil(rises) - 1
        return (whole + 1) * self.every + math.ceil((rises - whole) * self.ramp) - 1


KINDS = ("linear", "cosine", "piecewise", "stairs", "sum", "product", "negative")
CONTROL = "pi_control"
"""What is written like a schedule where a whole weight stands; see ``config.control``."""


def parse(value: object, where: str) -> Schedule:
    """Parse a schedule as written in a config.

    Args:
        value: a number, or a mapping as in the module's docstring.
        where: the config key, for the message.

    Raises:
        ConfigError: the value is neither a finite number nor a schedule.
    """
    if _is_number(value):
        return Pieces(((0, _number(value, where)),))
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ConfigError(f"{where}: {value!r} is neither a number nor a schedule ({', '.join(KINDS)})")
    kind, arguments = next(iter(value.items()))
    if kind == CONTROL:
        raise ConfigError(f"{where}: {CONTROL} is only for the whole weight of a term; expected a number or a schedule")
    if kind not in KINDS:
        raise ConfigError(
            f"{where}: unknown schedule {kind!r}, expected one of {', '.join(KINDS)}{nearest(kind, KINDS)}"
        )
    if kind == "negative":
        return Sum(((-1, parse(arguments, where)),))
    if kind == "sum":
        if not isinstance(arguments, Sequence) or isinstance(arguments, str) or not arguments:
            raise ConfigError(f"{where}: sum takes a list of numbers and schedules, not {arguments!r}")
        return Sum(tuple((1, parse(part, where)) for part in arguments))
    if kind == "product":
        if not isinstance(arguments, Sequence) or isinstance(arguments, str) or len(arguments) != 2:
            raise ConfigError(f"{where}: product takes [number, schedule], not {arguments!r}")
        return Sum(((_number(arguments[0], where), parse(arguments[1], where)),))
    if kind == "piecewise":
        return Pieces(_points(arguments, where))
    if kind == "stairs":
        return _stairs(arguments, where)
    if not isinstance(arguments, Sequence) or isinstance(arguments, str) or len(arguments) != 3:
        raise ConfigError(f"{where}: {kind} takes [start, end, steps], not {arguments!r}")
    start, end, steps = arguments
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ConfigError(f"{where}: the steps of a {kind} schedule are a whole number from 1 on, not {steps!r}")
    return Pieces(((0, _number(start, where)), (steps, _number(end, where))), cosine=kind == "cosine")


def _stairs(arguments: object, where: str) -> Stairs:
    shape = f"{where}: stairs takes [start, end, rise, every] and perhaps a ramp of at most `every`, not {arguments!r}"
    if not isinstance(arguments, Sequence) or isinstance(arguments, str) or len(arguments) not in (4, 5):
        raise ConfigError(shape)
    start, end, rise, every, ramp = (*arguments, 1)[:5]
    if any(not isinstance(each, int) or isinstance(each, bool) or each < 1 for each in (every, ramp)) or ramp > every:
        raise ConfigError(shape)
    if _number(rise, where) <= 0:
        raise ConfigError(f"{where}: the rise of stairs is a number above 0, not {rise!r}")
    return Stairs(_number(start, where), _number(end, where), float(rise), every, ramp)


def _points(arguments: object, where: str) -> tuple[tuple[int, float], ...]:
    shape = f"{where}: piecewise takes [[step, value], ...] with steps that grow from 0 on, not {arguments!r}"
    if not isinstance(arguments, Sequence) or isinstance(arguments, str) or not arguments:
        raise ConfigError(shape)
    points: list[tuple[int, float]] = []
    for pair in arguments:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ConfigError(shape)
        step, value = pair
        if not isinstance(step, int) or isinstance(step, bool) or step < (points[-1][0] + 1 if points else 0):
            raise ConfigError(shape)
        points.append((step, _number(value, where)))
    return tuple(points)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigError(f"{where}: {value!r} is not a finite number")
    return float(value)

"""Statements about numbers that a study computes without training runs, and their verdicts by a stated tolerance."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from hfvae_runner.errors import ConfigError, nearest

_FOLDER = Path(__file__).with_name("computations")
HOLDS, CONTRADICTED = "holds", "contradicted"
RULES = """\
A statement *holds* where its two sides differ by at most the tolerance in every case or, where it says that the left
side is greater, where it is so by more than the tolerance in every case; else it is *contradicted*. The sides shown are
those of the case nearest to a contradiction."""


@dataclass(frozen=True)
class Statement:
    """Two sides of an equation or inequality, computed independently of each other in several cases.

    Attributes:
        what: the statement in words or symbols.
        where: it stands in the paper.
        left, right: the sides, a number a case.
        tolerance: for equality the largest difference allowed, for an inequality what left − right must exceed.
        relation: whether the sides are claimed to be equal, or the left one to be greater.
    """

    what: str
    where: str
    left: Sequence[float]
    right: Sequence[float]
    tolerance: float
    relation: Literal["equal", "greater"] = "equal"

    def __post_init__(self) -> None:
        if not 0 < len(self.left) == len(self.right):
            raise ValueError(
                f"{self.what}: {len(self.left)} and {len(self.right)} values; expected as many on each side"
            )


@dataclass(frozen=True)
class Computed:
    """What a computation returns: its statements, and the study's figure if it draws one."""

    statements: tuple[Statement, ...]
    figure: Figure | None = None


def names() -> list[str]:
    """Return the names of the computations, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("[a-z]*.py"))


def check(name: str) -> None:
    """Raise ConfigError where there is no such computation."""
    if name not in names():
        raise ConfigError(f"computation={name}: expected one of {', '.join(names())}{nearest(name, names())}")


def compute(name: str) -> Computed:
    """Run a computation by its name.

    Raises:
        ConfigError: there is none of this name.
    """
    check(name)
    found: Computed = import_module(f"hfvae_runner.reproduce.computations.{name}").compute()
    return found


def statement_of(statement: Statement) -> dict[str, object]:
    """Decide a statement; a mapping for study.json. A value that is not finite contradicts it."""
    left, right = np.asarray(statement.left, float), np.asarray(statement.right, float)
    equal = statement.relation == "equal"
    differences = abs(left - right) if equal else left - right
    finite = np.isfinite(differences)
    # The case nearest to a contradiction; one without a value before all others.
    distance = np.where(finite, -differences if equal else differences, -np.inf)
    worst = int(distance.argmin())
    holds = finite.all() and (
        differences[worst] <= statement.tolerance if equal else differences[worst] > statement.tolerance
    )
    shown = (float(each[worst]) if np.isfinite(each[worst]) else None for each in (left, right, differences))
    return {
        "what": statement.what,
        "where": statement.where,
        "relation": statement.relation,
        "cases": len(left),
        **dict(zip(("left", "right", "difference"), shown, strict=True)),
        "tolerance": statement.tolerance,
        "verdict": HOLDS if holds else CONTRADICTED,
    }

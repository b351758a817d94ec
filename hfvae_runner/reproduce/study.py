"""What a study's YAML file says: the sweeps, the paper's numbers and claims, and the figure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import yaml
from pydantic import ConfigDict, with_config

from hfvae_runner.config.validation import Count, NonNegative, Number, Text, checked
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.reproduce import statements

Size = Literal["smoke", "cpu", "paper"]
SIZES: tuple[Size, ...] = get_args(Size)
Scalar = Number | bool | Text
Better = Literal["higher", "lower", "neither"]
_FOLDER = Path(__file__).with_name("studies")
_MOST_BYTES = 1 << 20
_CLOSED = ConfigDict(extra="forbid")


@with_config(_CLOSED)
@dataclass(frozen=True)
class Sweep:
    """Runs that one multirun command starts.

    Attributes:
        command: overrides of every size, as they follow ``-m`` on the command line.
        sizes: further overrides of each size. A size that is not named does not run this sweep.
    """

    command: tuple[Text, ...]
    sizes: Mapping[Size, tuple[Text, ...]]

    def overrides(self, size: Size) -> tuple[str, ...]:
        """Return the whole command of a size; the last of two values for one key counts."""
        return (*self.command, *self.sizes[size])


@with_config(_CLOSED)
@dataclass(frozen=True)
class Selection:
    """Some runs of a sweep, or of several.

    Attributes:
        sweep: its name in the study, or a list of names.
        where: settings that the runs have, by their dotted key, such as ``beta`` or ``model.channels``.
    """

    sweep: Text | tuple[Text, ...]
    where: Mapping[Text, Scalar] = field(default_factory=dict)

    @property
    def sweeps(self) -> tuple[str, ...]:
        """The names of the sweeps."""
        return (self.sweep,) if isinstance(self.sweep, str) else self.sweep


@with_config(_CLOSED)
@dataclass(frozen=True)
class Quantity:
    """One number of a run.

    Attributes:
        metric: its place in metrics.json, as in ``test.discrete_accuracy``.
        take: ``value`` for a number; of a mapping or list of numbers ``max``, ``mean``, ``sum`` or ``count``.
        above: for ``count``: how many of them are larger than this.
        top: for ``mean``: of how many of the largest; null for all.
    """

    metric: Text
    take: Literal["value", "max", "mean", "sum", "count"] = "value"
    above: Number = 0.0
    top: Count | None = None


@with_config(_CLOSED)
@dataclass(frozen=True)
class Published:
    """A number as a paper has it.

    Attributes:
        value: the number, a mean where there are several runs.
        where: table, figure or section.
        deviation: the standard deviation over the paper's runs, if it is given.
        runs: how many runs the number is the mean of, if that is given.
        note: a condition that the number depends on.
    """

    value: Number
    where: Text
    deviation: NonNegative | None = None
    runs: Count | None = None
    note: Text | None = None


@with_config(_CLOSED)
@dataclass(frozen=True)
class Row:
    """One row of the study's table.

    Attributes:
        what: is measured, of which runs, in words.
        runs: of which our value is the mean.
        quantity: which number of each run.
        better: which direction is better.
        paper: the paper's number; null where it shows a figure without numbers.
        best_of: k, for the best of k runs in place of the mean: the number that a choice among k runs reports on
            average.
    """

    what: Text
    runs: Selection
    quantity: Quantity
    better: Better = "neither"
    paper: Published | None = None
    best_of: Count | None = None


@with_config(_CLOSED)
@dataclass(frozen=True)
class Claim:
    """A claim of the paper that one method is better than another, decided by the probability of improvement.

    Attributes:
        what: the claim in words.
        where: it stands in the paper.
        quantity: the number to compare.
        better: which direction is better.
        method, than: the runs compared; ``method`` is claimed to be better.
    """

    what: Text
    where: Text
    quantity: Quantity
    better: Literal["higher", "lower"]
    method: Selection
    than: Selection


@with_config(_CLOSED)
@dataclass(frozen=True)
class Trend:
    """A claim that two numbers move together over runs, decided by Spearman's rank correlation.

    Attributes:
        what: the claim in words.
        where: it stands in the paper.
        runs: over which.
        x: a number of metrics.json, or the key of a numeric setting such as ``beta``.
        y: a number of metrics.json.
        sign: of the correlation that is claimed.
    """

    what: Text
    where: Text
    runs: Selection
    x: Quantity | Text
    y: Quantity
    sign: Literal["positive", "negative"]


@with_config(_CLOSED)
@dataclass(frozen=True)
class Share:
    """How much of a number's variance over runs the settings explain; seeds are the rest.

    Attributes:
        what: the number and its runs, in words.
        runs: over which.
        quantity: the number.
        by: settings that divide the runs, level by level; each level divides further. The first may be
            ``[objective]``, the second its knobs.
    """

    what: Text
    runs: Selection
    quantity: Quantity
    by: tuple[tuple[Text, ...], ...]


@with_config(_CLOSED)
@dataclass(frozen=True)
class Transfer:
    """A claim that settings rank alike under two conditions, such as two data sets or two metrics.

    It is decided by Spearman's rank correlation over settings of their means over seeds.

    Attributes:
        what: the claim in words.
        where: it stands in the paper.
        quantity: the number under the first condition.
        other: the number under the second condition; null for the same.
        runs, to: the runs of the two conditions.
        by: the settings that pair them.
    """

    what: Text
    where: Text
    quantity: Quantity
    runs: Selection
    to: Selection
    by: tuple[Text, ...]
    other: Quantity | None = None


@with_config(_CLOSED)
@dataclass(frozen=True)
class Group:
    """Runs that a figure draws alike, under one label.

    Attributes:
        label: the label.
        runs: the runs.
        picture: for ``figures``: the name of the figure of the first seed's run.
    """

    label: Text
    runs: Selection
    picture: Text | None = None


@with_config(_CLOSED)
@dataclass(frozen=True)
class Plot:
    """The study's figure.

    Attributes:
        kind: ``boxes`` of each number in ``y`` by group; ``lines`` of ``y`` against ``x``; ``scatter`` of the first of
            ``y`` against ``x``; ``pictures``, a run's own figure over two settings; ``figures``, a run's own figure for
            each group; ``correlations``, Spearman's over a group's runs, of each number in ``y`` and ``against`` with
            each in ``y``; ``computed``, by the study's computation.
        caption: below the figure.
        groups: of runs, in the order of the legend.
        x: for ``lines`` the key of a setting, for ``scatter`` a number of metrics.json.
        x_title: for ``scatter``: the title of x's axis; null for the metric's name.
        y: axis titles and numbers.
        against: for ``correlations``: further numbers.
        size: for ``scatter``: the setting that the dots' size shows, if any.
        picture: for ``pictures``: the name of the run's figure.
        rows, columns: for ``pictures``: the settings along the sides.
    """

    kind: Literal["boxes", "lines", "scatter", "pictures", "figures", "correlations", "computed"]
    caption: Text
    groups: tuple[Group, ...] = ()
    x: Quantity | Text | None = None
    x_title: Text | None = None
    y: Mapping[Text, Quantity] = field(default_factory=dict)
    against: Mapping[Text, Quantity] = field(default_factory=dict)
    size: Text | None = None
    picture: Text | None = None
    rows: Text | None = None
    columns: Text | None = None


@with_config(_CLOSED)
@dataclass(frozen=True)
class Study:
    """One experiment of a paper.

    Attributes:
        title: what it shows, as a heading.
        paper: authors, year, identifier, and the table or figure.
        shows: one paragraph on what is run and what to look at.
        data: names of the data sets that it needs.
        differs: in what a size's conditions differ from the paper's; a size without an entry has the paper's.
        figure: in the paper's own form.
        sweeps: by name.
        computation: the file in ``computations/`` that computes statements without training runs, the same at every
            size; null for none.
        rows, claims, trends, transfers, shares: what is compared.
        findings: what our runs showed, in words, by size.
    """

    title: Text
    paper: Text
    shows: Text
    data: tuple[Text, ...]
    differs: Mapping[Size, Text]
    figure: Plot
    sweeps: Mapping[Text, Sweep] = field(default_factory=dict)
    computation: Text | None = None
    rows: tuple[Row, ...] = ()
    claims: tuple[Claim, ...] = ()
    trends: tuple[Trend, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    shares: tuple[Share, ...] = ()
    findings: Mapping[Size, Text] = field(default_factory=dict)

    def sweeps_of(self, size: Size) -> dict[str, Sweep]:
        """Return the sweeps that run at a size, by name."""
        return {name: sweep for name, sweep in self.sweeps.items() if size in sweep.sizes}

    def sizes(self) -> list[Size]:
        """Return the sizes at which there is something to run; without any sweep, the computation has all."""
        return [size for size in SIZES if self.sweeps_of(size) or (self.computation and not self.sweeps)]


def names() -> list[str]:
    """Return the names of the installed studies, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load(study: str) -> tuple[str, Study]:
    """Read an installed study by its name, or a study from a YAML file.

    Returns:
        Its name and its content.

    Raises:
        ConfigError: there is no such study, or the file is not one.
    """
    path = Path(study) if study.endswith((".yaml", ".yml")) else _FOLDER / f"{study}.yaml"
    if path.parent == _FOLDER and study not in names():
        raise ConfigError(f"{study}: no such study; expected one of {', '.join(names())}{nearest(study, names())}")
    return path.stem, _read(path)


def _read(path: Path) -> Study:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path} has {path.stat().st_size} bytes; expected a study of at most {_MOST_BYTES}")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; expected a study's YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    try:
        study: Study = checked(Study, content)
    except ConfigError as error:
        raise ConfigError(f"{path.name}: {error}") from error
    _check_names(path, study)
    return study


def _check_names(path: Path, study: Study) -> None:
    """Raise ConfigError where a study names a computation that there is not, or a sweep that it does not have."""
    if not study.sweeps and study.computation is None:
        raise ConfigError(f"{path.name}: neither sweeps nor a computation; expected one of them")
    for row in study.rows:
        if row.best_of is not None and row.better == "neither":
            raise ConfigError(f"{path.name}: best_of={row.best_of}: expected better=higher or lower beside it")
    if study.figure.kind == "computed" and study.computation is None:
        raise ConfigError(f"{path.name}: figure.kind=computed: expected a computation that draws it")
    if study.computation is not None:
        try:
            statements.check(study.computation)
        except ConfigError as error:
            raise ConfigError(f"{path.name}: {error}") from None
    chosen = [row.runs for row in study.rows] + [trend.runs for trend in study.trends]
    chosen += [share.runs for share in study.shares] + [group.runs for group in study.figure.groups]
    chosen += [each for claim in study.claims for each in (claim.method, claim.than)]
    chosen += [each for transfer in study.transfers for each in (transfer.runs, transfer.to)]
    for name in (name for each in chosen for name in each.sweeps):
        if name not in study.sweeps:
            known = tuple(study.sweeps)
            raise ConfigError(f"{path.name}: sweep={name}: expected one of {', '.join(known)}{nearest(name, known)}")

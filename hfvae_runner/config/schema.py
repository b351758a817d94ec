"""The keys that every config has, as frozen dataclasses, checked value by value.

Takes the plain nested dict of a resolved config and needs neither Hydra nor torch: a mistake is refused at once.
`dataset`, `model`, `likelihood` and `prior` stay open: their classes say what they take.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from hfvae_runner.config import schedules
from hfvae_runner.config.names import DiscreteDensity, Estimator, Kernel, Precision, Statistic
from hfvae_runner.config.penalties import PenaltySpec, parse_terms
from hfvae_runner.config.section import Section, shown
from hfvae_runner.config.stored import modules
from hfvae_runner.errors import ConfigError, nearest

GROUPS = ("dataset", "model", "likelihood", "prior", "objective")
BROUGHT_GROUPS = ("divergence",)  # by some objectives, in their own lists of defaults
ALL_GROUPS = (*GROUPS, *BROUGHT_GROUPS)
ESTIMATORS: tuple[str, ...] = get_args(Estimator)
DISCRETE_DENSITIES: tuple[str, ...] = get_args(DiscreteDensity)
SETTINGS = (
    "seed",
    "device",
    "epochs",
    "steps",
    "batch_size",
    "lr",
    "data_root",
    "image_size",
    "latents",
    "threads",
    "precision",
    "on_divergence",
    "resume",
    "trust",
    "optimized_metric",
    "debug",
)
FIXED = (*SETTINGS, "choices", *GROUPS, "supervision", "train", "runtime", "checkpoints", "metrics", "trackers")

RESUME_AUTO = "auto"

_METRIC_SECTIONS = ("train", "test", "holdout")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_LARGEST_EXACT = 2**53  # from here on not every whole number is a float
_LARGEST_SEED = 2**63 - 1
_MOST_THREADS = 1024  # an operating system that refuses one more ends the process
_WORDS: Mapping[str, tuple[str, ...]] = {
    "estimator": ESTIMATORS,
    "discrete_density": DISCRETE_DENSITIES,
    "kernel": get_args(Kernel),
    "statistic": get_args(Statistic),
}
_NAME_LISTS = ("anchors",)
METRICS_SETTINGS = ("exact_limit", "batch_size", "figures", "every")


@dataclass(frozen=True)
class ObjectiveConfig:
    """The weighted terms, the estimator of q(z), and the log-density of a Concrete block that enters them."""

    estimator: Estimator
    discrete_density: DiscreteDensity
    terms: Mapping[str, PenaltySpec]


@dataclass(frozen=True)
class SupervisionConfig:
    """How many labels are given in training.

    Attributes:
        fraction: of each class's examples; 0 for none.
        weight: of −log q(y|x) where y is given.
    """

    fraction: float
    weight: float


@dataclass(frozen=True)
class TrainConfig:
    """Options of the training loop.

    Attributes:
        betas: Adam's two decay rates.
        amsgrad: whether Adam keeps the largest second moment so far (Reddi et al. 2018).
        prior_lr: the learning rate of the prior's own parameters; None takes that of the networks.
        log_every: optimiser steps between rows of history.csv.
        restarts: after how many divergences the run goes on from its last checkpoint, where ``on_divergence`` says so.
        restart_factor: what each of them multiplies the learning rates by.
        progress: whether a progress bar is shown.
    """

    betas: tuple[float, float]
    amsgrad: bool
    prior_lr: float | None
    log_every: int
    restarts: int
    restart_factor: float
    progress: bool


@dataclass(frozen=True)
class RuntimeConfig:
    """Options of a step: compiled, recorded as a CUDA graph.

    Attributes:
        compile: whether torch compiles it.
        graph: whether a GPU records it once and repeats it.
    """

    compile: bool
    graph: bool


@dataclass(frozen=True)
class CheckpointsConfig:
    """Options of the checkpoints.

    Attributes:
        every: optimiser steps between checkpoints.
        keep: how many of the newest numbered checkpoints stay.
    """

    every: int
    keep: int


@dataclass(frozen=True)
class MetricsConfig:
    """Options of the metrics.

    Attributes:
        exact_limit: the most densities N*S*F that log q(z) is evaluated with (N examples, S draws, F factors).
        batch_size: examples at once, for encoding.
        figures: whether figures are drawn.
        every: optimiser steps between measurements of the test split while training; None for none.
        chosen: each metric's function as `_target_` (dotted path), and its options, by its name.
    """

    exact_limit: float
    batch_size: int
    figures: bool
    every: int | None
    chosen: Mapping[str, Mapping[str, object]]

    @property
    def options(self) -> dict[str, dict[str, object]]:
        """The chosen metrics' options, by metric; metrics.json has them as ``measured``."""
        return {
            name: {key: value for key, value in spec.items() if key != "_target_"} for name, spec in self.chosen.items()
        }


@dataclass(frozen=True)
class Config:
    """One run's config.

    Attributes:
        epochs: passes over the training set; `steps` (optimiser steps) wins where both are given.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        image_size: side length in pixels that images are brought to; None keeps the data set's own.
        latents: how many continuous factors the prior has.
        threads: torch's CPU threads; None leaves torch's choice.
        precision: of the networks' products in training.
        on_divergence: `stop`, or `restart` from the last checkpoint with a smaller learning rate.
        resume: None starts a new run, `auto` resumes where the run folder holds a checkpoint; else that checkpoint's path.
        trust: modules whose functions a config that came with a folder may name.
        optimized_metric: the dotted path of a number in metrics.json, such as `test.elbo`, that a search goes by.
        choices: the name of the chosen file of each group.
        knobs: the objective's own top-level values, such as `beta`.
        dataset, model, likelihood, prior: a class as `_target_` (dotted path), and its arguments.
        trackers: likewise, by name; what shows the run elsewhere.
        resolved: everything above as the plain dict that config.yaml holds.
    """

    seed: int
    device: str
    epochs: int | None
    steps: int | None
    batch_size: int
    lr: float
    data_root: str
    image_size: int | None
    latents: int
    threads: int | None
    precision: Precision
    on_divergence: str
    resume: str | None
    trust: tuple[str, ...]
    optimized_metric: str | None
    debug: bool
    choices: Mapping[str, str]
    knobs: Mapping[str, object]
    dataset: Mapping[str, object]
    model: Mapping[str, object]
    likelihood: Mapping[str, object]
    prior: Mapping[str, object]
    objective: ObjectiveConfig
    supervision: SupervisionConfig
    train: TrainConfig
    runtime: RuntimeConfig
    checkpoints: CheckpointsConfig
    metrics: MetricsConfig
    trackers: Mapping[str, Mapping[str, object]]
    resolved: Mapping[str, object]


def parse(resolved: Mapping[str, object]) -> Config:
    """Check a resolved config and return it as a ``Config``.

    Raises:
        ConfigError: a key is missing or unknown, or a value has the wrong type or range; the message names the key, the
            value and what was expected.
    """
    resolved = {key: _with_whole_numbers(value) for key, value in resolved.items()}
    root = Section("", resolved)
    choices = _choices(root.section("choices", ALL_GROUPS))
    knobs = {key: _knob(root, key) for key in resolved if key not in FIXED}
    config = Config(
        seed=root.integer("seed", least=0, most=_LARGEST_SEED),
        device=_device(root),
        epochs=root.optional_integer("epochs"),
        steps=root.optional_integer("steps"),
        batch_size=root.integer("batch_size", least=2),
        lr=root.positive("lr"),
        data_root=root.text("data_root"),
        image_size=root.optional_integer("image_size"),
        latents=root.integer("latents", least=1),
        threads=root.optional_integer("threads", most=_MOST_THREADS),
        precision=cast(Precision, root.word("precision", get_args(Precision))),
        on_divergence=root.word("on_divergence", ("stop", "restart")),
        resume=None if root.value("resume") is None else root.text("resume"),
        # Not in folders of earlier versions; what stands in a folder counts for nothing anyway.
        trust=modules(root.value("trust")) if root.has("trust") else (),
        optimized_metric=_optimized_metric(root),
        debug=root.boolean("debug"),
        choices=choices,
        knobs=knobs,
        dataset=_open(root, "dataset"),
        model=_open(root, "model"),
        likelihood=_open(root, "likelihood"),
        prior=_open(root, "prior"),
        objective=_objective(root.section("objective", ("estimator", "discrete_density", "terms"))),
        supervision=_supervision(root.section("supervision", tuple(SupervisionConfig.__dataclass_fields__))),
        train=_train(root.section("train", tuple(TrainConfig.__dataclass_fields__))),
        runtime=_runtime(root.section("runtime", tuple(RuntimeConfig.__dataclass_fields__))),
        checkpoints=_checkpoints(root.section("checkpoints", tuple(CheckpointsConfig.__dataclass_fields__))),
        metrics=_metrics(root),
        trackers=_trackers(root),
        resolved=resolved,
    )
    if config.epochs is None and config.steps is None:
        raise ConfigError("epochs and steps are both null; expected one of them as a whole number from 1 on")
    return config


def _with_whole_numbers(value: object) -> object:
    """The value with each float that has no fraction as an int: 1e3 is 1000."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_EXACT:
        return int(value)
    if isinstance(value, Mapping):
        return {key: _with_whole_numbers(inner) for key, inner in value.items()}
    return [_with_whole_numbers(inner) for inner in value] if isinstance(value, list) else value


def _device(root: Section) -> str:
    device = root.text("device")
    if not _DEVICE.fullmatch(device):
        raise root.error("device", f"auto, cpu, cuda or cuda:N{nearest(device, ('auto', 'cpu', 'cuda'))}")
    return device


def _optimized_metric(root: Section) -> str | None:
    if root.value("optimized_metric") is None:
        return None
    path = root.text("optimized_metric")
    section, _, name = path.partition(".")
    if section not in _METRIC_SECTIONS or not name:
        known = " or ".join(f"{section}.NAME" for section in _METRIC_SECTIONS)
        raise root.error("optimized_metric", f"{known} as in metrics.json{nearest(section, _METRIC_SECTIONS)}")
    return path


def _choices(section: Section) -> dict[str, str]:
    choices: dict[str, str] = {}
    for group in (*GROUPS, *(group for group in BROUGHT_GROUPS if section.has(group))):
        choice = section.value(group)
        if not isinstance(choice, str):  # Hydra says null of several choices for one group, and of a deleted group
            raise section.error(group, "the name of a single choice")
        choices[group] = choice
    return choices


def _knob(root: Section, key: str) -> object:
    value = root.value(key)
    if key in _WORDS:
        return root.word(key, _WORDS[key])
    if key in _NAME_LISTS:
        if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
            raise root.error(key, "a list of block names such as [style]")
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, str) or value is None:
        raise root.error(key, "a number or a schedule such as {linear: [0, 4, 1000]}")
    schedules.parse(value, key)
    return value


def _open(parent: Section, key: str) -> Mapping[str, object]:
    section = parent.mapping(key)
    target = section.get("_target_")
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")) or "." not in target:
        raise ConfigError(f"{parent.name(key)}._target_={shown(target)}: expected the dotted path of a class")
    return section


def _objective(section: Section) -> ObjectiveConfig:
    return ObjectiveConfig(
        estimator=cast(Estimator, section.word("estimator", ESTIMATORS)),
        discrete_density=cast(DiscreteDensity, section.word("discrete_density", DISCRETE_DENSITIES)),
        terms=parse_terms(section.mapping("terms")),
    )


def _supervision(section: Section) -> SupervisionConfig:
    return SupervisionConfig(section.number("fraction", most=1), section.number("weight"))


def _train(section: Section) -> TrainConfig:
    return TrainConfig(
        betas=_betas(section),
        amsgrad=section.boolean("amsgrad"),
        prior_lr=None if section.value("prior_lr") is None else section.positive("prior_lr"),
        log_every=section.integer("log_every", least=1),
        restarts=section.integer("restarts", least=1),
        restart_factor=_below_one(section, "restart_factor"),
        progress=section.boolean("progress"),
    )


def _runtime(section: Section) -> RuntimeConfig:
    return RuntimeConfig(compile=section.boolean("compile"), graph=section.boolean("graph"))


def _checkpoints(section: Section) -> CheckpointsConfig:
    return CheckpointsConfig(section.integer("every", least=1), section.integer("keep", least=1))


def _below_one(section: Section, key: str) -> float:
    value = section.positive(key)
    if value >= 1:
        raise section.error(key, "a number above 0 and below 1")
    return value


def _betas(section: Section) -> tuple[float, float]:
    value = section.value("betas")
    if (
        not isinstance(value, list | tuple)
        or len(value) != 2
        or not all(isinstance(each, int | float) and not isinstance(each, bool) and 0 <= each < 1 for each in value)
    ):
        raise section.error("betas", "two numbers from 0 to below 1")
    return float(value[0]), float(value[1])


def _metrics(root: Section) -> MetricsConfig:
    section = Section("metrics", root.mapping("metrics"))
    metrics = [name for name in section.names() if name not in METRICS_SETTINGS]
    for name in metrics:
        if not isinstance(section.value(name), Mapping):
            known = (*METRICS_SETTINGS, *metrics)
            raise ConfigError(f"metrics.{name}: unknown key; expected one of {', '.join(known)}{nearest(name, known)}")
    return MetricsConfig(
        exact_limit=section.positive("exact_limit"),
        batch_size=section.integer("batch_size", least=2),
        figures=section.boolean("figures"),
        every=section.optional_integer("every"),
        chosen={name: _open(section, name) for name in metrics},
    )


def _trackers(root: Section) -> dict[str, Mapping[str, object]]:
    section = Section("trackers", root.mapping("trackers"))
    return {name: _open(section, name) for name in section.names()}

"""The closed part of a run's config: frozen dataclasses with the type and the meaning of each key.

The types are checked by pydantic (``config.validation``). They determine the checks and their messages, the table of
keys in docs/reference/config.md, and the JSON schemas that editors use for conf/ (``scripts/config_reference.py``).
``parse`` takes the plain nested dict of a resolved config and needs neither Hydra nor torch, so that a mistake is
refused at once. The keys of `dataset`, `model`, `likelihood` and `prior` are the arguments of their functions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, get_args

from annotated_types import Ge, Le, Lt
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    PlainValidator,
    SkipValidation,
    Strict,
    with_config,
)
from typing_extensions import TypedDict

from hfvae_runner.config import schedules
from hfvae_runner.config.control import parse_weight
from hfvae_runner.config.names import Average, DiscreteDensity, Distance, Estimator, Kernel, Precision, Statistic
from hfvae_runner.config.penalties import PenaltySpec, parse_terms
from hfvae_runner.config.schedules import Schedule
from hfvae_runner.config.stored import completed, modules
from hfvae_runner.config.validation import (
    WHOLE,
    Count,
    Flag,
    NonNegative,
    Positive,
    Rates,
    Share,
    Text,
    checked,
    expected,
    shown,
)
from hfvae_runner.errors import ConfigError, nearest

GROUPS = ("dataset", "model", "likelihood", "prior", "objective")
BROUGHT_GROUPS = ("divergence",)  # groups that some objectives add in their own lists of defaults
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
    "init_from",
    "trust",
    "optimized_metric",
    "debug",
)
FIXED = (*SETTINGS, "choices", *GROUPS, "supervision", "train", "runtime", "checkpoints", "metrics", "trackers")

RESUME_AUTO = "auto"

METRICS_SETTINGS = ("exact_limit", "batch_size", "figures", "every")

_LARGEST_EXACT = 2**53  # above it, not every whole number is a float
_LARGEST_SEED = 2**63 - 1
_MOST_THREADS = 1024  # a failure to start a thread would end the process
_CLOSED = ConfigDict(extra="forbid")

Choice = Annotated[Text, expected("the name of a single choice")]
BlockNames = Annotated[list[Text], Field(min_length=1), expected("a list of block names such as [style]")]
DottedPath = Annotated[
    Text, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)+$"), expected("the dotted path of a function or class")
]
_MetricPath = Annotated[
    Text,
    Field(pattern=r"^(train|test|test_sampled|holdout)\..+"),
    expected(
        "train.NAME, test.NAME, test_sampled.NAME or holdout.NAME as in metrics.json",
        *("train", "test", "test_sampled", "holdout"),
    ),
]
_KNOB_TYPES: Mapping[str, Any] = {
    "estimator": Estimator,
    "discrete_density": DiscreteDensity,
    "kernel": Kernel,
    "statistic": Statistic,
    "anchors": BlockNames,
}


@with_config(_CLOSED)
class _Choices(TypedDict):
    # Hydra gives null for several choices of one group, and for a deleted group.
    dataset: Choice
    model: Choice
    likelihood: Choice
    prior: Choice
    objective: Choice
    divergence: NotRequired[Choice]


@with_config(ConfigDict(extra="allow"))
class _Target(TypedDict):
    _target_: DottedPath


Target = Annotated[Mapping[str, object], GetPydanticSchema(lambda _source, handler: handler(_Target))]
"""A function or class, named by `_target_`, and its arguments."""


def _terms(value: object) -> Mapping[str, PenaltySpec]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"objective.terms={shown(value)}: expected a section with keys of its own")
    return parse_terms(value)


@with_config(_CLOSED)
@dataclass(frozen=True)
class AveragingConfig:
    """How the latents that a pair of examples shares are found and averaged."""

    posterior: Annotated[
        Average,
        Field(description="`mean` of means and variances (GVAE), or normalised `product` (ML-VAE)"),
    ]
    distance: Annotated[
        Distance, Field(description="KL from the first to the second posterior, or the mean of both directions")
    ]


@with_config(_CLOSED)
@dataclass(frozen=True)
class ObjectiveConfig:
    """The weighted terms, the estimator of q(z), and the log-density of a Concrete block that enters them."""

    estimator: Annotated[Estimator, Field(description="how a batch estimates the aggregate posterior q(z)")]
    discrete_density: Annotated[DiscreteDensity, Field(description="which log-probability a Concrete variable brings")]
    terms: Annotated[
        Mapping[str, PenaltySpec],
        PlainValidator(_terms, json_schema_input_type=dict[str, Any]),
        Field(description="the weighted terms of the loss, by the names that history and metrics call them"),
    ]
    averaging: Annotated[
        AveragingConfig | None,
        Field(description="of the posteriors of pairs (`dataset.pairs`); without it each example has its own"),
    ] = None


def _factor_weight(value: object) -> Schedule:
    return schedules.parse(value, "supervision.factor_weight")


@with_config(_CLOSED)
@dataclass(frozen=True)
class SupervisionConfig:
    """Options of the labels and the ground-truth factors that are given in training."""

    fraction: Annotated[Share, Field(description="of each class's examples that have their label given; 0 for none")]
    weight: Annotated[NonNegative, Field(description="of -log q(y|x) where y is given")]
    factor_examples: Annotated[
        Count | None, Field(description="training examples whose ground-truth factors are given; null for none")
    ]
    factor_weight: Annotated[
        Schedule,
        PlainValidator(_factor_weight, json_schema_input_type=float | dict[str, Any]),
        Field(description="of the cross-entropy between these factors and the latents' means, a number or a schedule"),
    ]
    factors: Annotated[
        Annotated[
            list[Text] | Mapping[str, Text],
            expected("a list of factors such as [scale, x], or the latent of each such as {x: 'z[0]'}"),
        ]
        | None,
        Field(description="factors that are given: a list, or the latent of each; null for all but nuisance factors"),
    ]


@with_config(_CLOSED)
@dataclass(frozen=True)
class TrainConfig:
    """Options of the training loop."""

    betas: Annotated[Rates, Field(description="Adam's two decay rates")]
    amsgrad: Annotated[Flag, Field(description="Adam keeps the largest second moment so far (Reddi et al. 2018)")]
    prior_lr: Annotated[
        Positive | None, Field(description="learning rate of the prior's own parameters; null takes `lr`")
    ]
    log_every: Annotated[Count, Field(description="optimiser steps between rows of history.csv")]
    restarts: Annotated[
        Count,
        Field(description="with `on_divergence=restart`, the most restarts of a run from its last checkpoint"),
    ]
    restart_factor: Annotated[Positive, Lt(1), Field(description="what each restart multiplies the learning rates by")]
    progress: Annotated[Flag, Field(description="a progress bar on the terminal")]
    weight_decay: Annotated[
        NonNegative,
        Field(description="AdamW's decoupled decay of the networks' weights, without biases and the prior; 0 for none"),
    ]


@with_config(_CLOSED)
@dataclass(frozen=True)
class RuntimeConfig:
    """Options of a step: compiled, recorded as a CUDA graph."""

    compile: Annotated[Flag, Field(description="torch compiles a step before the first")]
    graph: Annotated[Flag, Field(description="a GPU records a step once and repeats it")]


@with_config(_CLOSED)
@dataclass(frozen=True)
class CheckpointsConfig:
    """Options of the checkpoints."""

    every: Annotated[Count, Field(description="optimiser steps between checkpoints")]
    keep: Annotated[Count, Field(description="how many of the newest numbered checkpoints stay")]


@dataclass(frozen=True)
class MetricsConfig:
    """Options of the metrics."""

    exact_limit: Annotated[
        Positive,
        Field(description="the most densities N·S·F (examples, draws, factors) that log q(z) is evaluated with"),
    ]
    batch_size: Annotated[int, Strict(), Ge(2), WHOLE, Field(description="examples at once, for encoding")]
    figures: Annotated[Flag, Field(description="figures are drawn")]
    every: Annotated[
        Count | None,
        Field(description="optimiser steps between measurements of the test split in training; null for none"),
    ]
    chosen: Annotated[
        Mapping[str, Target], Field(description="each metric's function as `_target_`, and its options, by its name")
    ]

    @property
    def options(self) -> dict[str, dict[str, object]]:
        """The chosen metrics' options, by metric; ``measured`` in metrics.json contains them."""
        return {
            name: {key: value for key, value in spec.items() if key != "_target_"} for name, spec in self.chosen.items()
        }


def _apart(section: object) -> object:
    """Separate the settings of ``metrics`` from the chosen metrics, which get a key of their own."""
    if not isinstance(section, Mapping):
        return section
    chosen = {name: spec for name, spec in section.items() if name not in METRICS_SETTINGS}
    for name, spec in chosen.items():
        if not isinstance(spec, Mapping):
            known = (*METRICS_SETTINGS, *chosen)
            raise ConfigError(f"metrics.{name}: unknown key; expected one of {', '.join(known)}{nearest(name, known)}")
    return {**{name: section[name] for name in METRICS_SETTINGS if name in section}, "chosen": chosen}


@dataclass(frozen=True)
class Config:
    """One run's config."""

    choices: Annotated[
        Mapping[str, str],
        GetPydanticSchema(lambda _source, handler: handler(_Choices)),
        Field(description="the name of the chosen file of each group"),
    ]
    seed: Annotated[
        int,
        Strict(),
        Ge(0),
        Le(_LARGEST_SEED),
        WHOLE,
        Field(description="random seed of parameters, data order and noise"),
    ]
    device: Annotated[
        Text,
        Field(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$", description="`auto` takes CUDA where there is one"),
        expected("auto, cpu, cuda or cuda:N", "auto", "cpu", "cuda"),
    ]
    epochs: Annotated[
        Count | None, Field(description="passes over the training set; each data set's file has a default")
    ]
    steps: Annotated[Count | None, Field(description="optimiser steps; wins over `epochs`")]
    batch_size: Annotated[
        int, Strict(), Ge(2), WHOLE, Field(description="examples per step; each data set's file has a default")
    ]
    lr: Annotated[Positive, Field(description="Adam's learning rate")]
    data_root: Annotated[Text, Field(description="folder of the data files")]
    image_size: Annotated[
        Count | None,
        Field(description="side length in pixels that images are brought to; null keeps the data set's own"),
    ]
    latents: Annotated[
        Count | None, Field(description="continuous factors of the prior; null leaves their number to the prior")
    ]
    threads: Annotated[
        Annotated[int, Strict(), Ge(1), Le(_MOST_THREADS), WHOLE] | None,
        Field(description="CPU threads; null leaves the choice to torch"),
    ]
    precision: Annotated[
        Precision, Field(description="of the networks' products in training; tf32 on a GPU only, all else is float32")
    ]
    on_divergence: Annotated[
        Literal["stop", "restart"],
        Field(description="`restart` restores the last checkpoint and continues with a smaller learning rate"),
    ]
    resume: Annotated[
        Text | None,
        Field(
            description="null starts a new run; `auto` resumes where the run folder holds a checkpoint; else that run"
        ),
    ]
    init_from: Annotated[
        Text | None,
        Field(description="a run folder or checkpoint whose parameters a new run starts from, where they fit"),
    ]
    trust: Annotated[
        tuple[str, ...],
        BeforeValidator(modules, json_schema_input_type=list[str]),
        Field(description="modules whose functions a config that came with a folder may name"),
    ]
    optimized_metric: Annotated[
        _MetricPath | None, Field(description="the number in metrics.json that a search goes by, such as `test.elbo`")
    ]
    debug: Annotated[Flag, Field(description="shows the traceback of an error")]
    knobs: Annotated[Mapping[str, object], SkipValidation, Field(description="the objective's own values")]
    dataset: Annotated[Target, Field(description="the data set's function as `_target_`, and its options")]
    model: Annotated[Target, Field(description="likewise the networks'")]
    likelihood: Annotated[Target, Field(description="likewise the likelihood's")]
    prior: Annotated[Target, Field(description="likewise the prior's")]
    objective: ObjectiveConfig
    supervision: SupervisionConfig
    train: TrainConfig
    runtime: RuntimeConfig
    checkpoints: CheckpointsConfig
    metrics: Annotated[MetricsConfig, BeforeValidator(_apart)]
    trackers: Annotated[
        Mapping[str, Target], Field(description="what shows the run elsewhere: `_target_` and options, by name")
    ]
    resolved: Annotated[
        Mapping[str, object], SkipValidation, Field(description="all of this as the plain dict of config.yaml")
    ]


def parse(resolved: Mapping[str, object]) -> Config:
    """Check a resolved config and return it as a ``Config``.

    Raises:
        ConfigError: a key is missing or unknown, or a value has the wrong type or range; the message contains the key,
            the value and what was expected.
    """
    resolved = {key: _with_whole_numbers(value) for key, value in resolved.items()}
    knobs = {key: _knob(key, value) for key, value in resolved.items() if key not in FIXED}
    fixed = {key: value for key, value in completed(resolved).items() if key in FIXED}
    config: Config = checked(Config, {**fixed, "knobs": knobs, "resolved": resolved})
    if config.epochs is None and config.steps is None:
        raise ConfigError("epochs and steps are both null; expected one of them as a whole number from 1 on")
    return config


def _with_whole_numbers(value: object) -> object:
    """Return the value with every float without a fraction converted to an int: 1e3 is 1000."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_EXACT:
        return int(value)
    if isinstance(value, Mapping):
        return {key: _with_whole_numbers(inner) for key, inner in value.items()}
    return [_with_whole_numbers(inner) for inner in value] if isinstance(value, list) else value


def _knob(key: str, value: object) -> object:
    if key in _KNOB_TYPES:
        return checked(_KNOB_TYPES[key], value, key)
    if isinstance(value, bool):
        return value
    if isinstance(value, str) or value is None:
        raise ConfigError(f"{key}={shown(value)}: expected a number or a schedule such as {{linear: [0, 4, 1000]}}")
    parse_weight(value, key)
    return value

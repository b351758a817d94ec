"""Builds a run's parts from its config: each is what the config's ``_target_`` names, checked before it is called."""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from hfvae_runner.config import schedules
from hfvae_runner.config.penalties import PenaltySpec
from hfvae_runner.config.schema import Config, SupervisionConfig
from hfvae_runner.config.targets import check_kind, signed
from hfvae_runner.data import Dataset
from hfvae_runner.data.pairs import suggested
from hfvae_runner.data.supervision import Labelled, some_examples, some_labels
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.latents.averaging import Averaging
from hfvae_runner.latents.known_factors import Assignment, assigned
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood, fitting
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.vae import VAE
from hfvae_runner.objectives import objective
from hfvae_runner.objectives.objective import Objective
from hfvae_runner.objectives.terms._term import Examples
from hfvae_runner.trackers import Tracking

T = TypeVar("T")
GROUPS: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "dataset": (Dataset, ()),
    "model": (Networks, ("input_shape", "latents", "likelihood")),
    "likelihood": (Likelihood, ("values",)),
    "prior": (Latents, ("n_classes", "examples", "n_factors")),
}
"""The type that a group's function returns, and its arguments that are derived from other parts."""
OF_EVERY_DATASET = ("sampling", "holdout", "pairs")
"""Options of the section ``dataset`` that are not arguments of its function."""
_VALUES = {"unit_interval": "values from 0 to 1", "real": "real numbers", "counts": "counts"}


def check_before_reading(config: Config) -> None:
    """Raise ConfigError for errors that are visible in the config alone, since reading the data may take minutes."""
    for group, (kind, derived_sizes) in GROUPS.items():
        section: Mapping[str, object] = getattr(config, group)
        spec = {key: value for key, value in section.items() if key not in OF_EVERY_DATASET}
        where = f"{group}={config.choices[group]}"
        factory, _, _ = signed(where, group, spec, derived_sizes)
        check_kind(where, spec, factory, kind)
    # Its options are the same whatever the values are.
    _called("likelihood", config.likelihood, config.choices, Likelihood, values="real")  # type: ignore[type-abstract]
    subset = config.dataset.get("subset")
    if isinstance(subset, int) and 0 < subset < config.batch_size:
        raise ConfigError(
            f"batch_size={config.batch_size}: dataset.subset={subset} leaves {subset} training examples; expected at "
            "most that"
        )


def published(spec: Mapping[str, object], choice: str) -> Dataset:
    """Read the data set ``choice`` as published, without its options of ``OF_EVERY_DATASET``.

    Raises:
        RunnerError: its files are missing or malformed, or its values are of an unknown kind.
    """
    dataset = _called("dataset", spec, {"dataset": choice}, Dataset)
    if dataset.values not in _VALUES:
        known = ", ".join(_VALUES)
        raise ConfigError(
            f"dataset={choice} has values={dataset.values!r}; expected one of {known}{nearest(dataset.values, _VALUES)}"
        )
    return dataset


def model_of(config: Config, dataset: Dataset) -> VAE:
    """Build the model with new parameters, drawn from torch's global random state.

    Raises:
        RunnerError: the parts do not fit together.
    """
    latents = _prior(config, dataset)
    likelihood = _likelihood(config, dataset)
    derived_sizes = {"input_shape": dataset.input_shape, "latents": latents, "likelihood": likelihood}
    networks = _called("model", config.model, config.choices, Networks, **derived_sizes)
    # channels_last is faster for most convolution kernels; every layer's output takes the layout of its weights.
    return VAE(networks, latents, likelihood).to(memory_format=torch.channels_last)


def _prior(config: Config, dataset: Dataset) -> Latents:
    about_data = {
        "n_classes": dataset.n_classes,
        "examples": dataset.train.x,
        "n_factors": dataset.varying_factors,
    }
    latents = _called("prior", config.prior, config.choices, Latents, **about_data)
    if config.train.prior_lr is not None and not list(latents.parameters()):
        raise ConfigError(
            f"train.prior_lr={config.train.prior_lr:g}: prior={config.choices['prior']} has nothing to learn; "
            "expected null, or a prior with prior.learned=true"
        )
    return latents.with_density(config.objective.discrete_density)


def _likelihood(config: Config, dataset: Dataset) -> Likelihood:
    derived_values = {"values": dataset.values}
    likelihood = _called("likelihood", config.likelihood, config.choices, Likelihood, **derived_values)  # type: ignore[type-abstract]
    if not likelihood.fits(dataset.values):
        expected = " or ".join(f"likelihood={name}" for name in fitting(dataset.values))
        raise ConfigError(
            f"likelihood={config.choices['likelihood']} does not fit dataset={config.choices['dataset']}: it scores "
            f"{_VALUES[likelihood.support]}, the data set gives {_VALUES[dataset.values]}; expected {expected}"
        )
    return likelihood


def objective_of(config: Config, dataset: Dataset, model: VAE, *, supervised: bool, labelled: bool) -> Objective:
    """Build the objective for these latents, with the terms of given labels and of given factors if there are any.

    Raises:
        ConfigError: a term does not fit the latents or the data.
    """

    def encoder_of(latents: Latents) -> nn.Module:
        sizes = {"input_shape": dataset.input_shape, "latents": latents, "likelihood": model.likelihood}
        networks = _called("model", config.model, config.choices, Networks, **sizes)
        return networks.encoder.to(memory_format=torch.channels_last)

    penalties = dict(config.objective.terms)
    if supervised:
        weight = schedules.parse(config.supervision.weight, "supervision.weight")
        penalties["label_likelihood"] = PenaltySpec("label_likelihood", "label_likelihood", weight)
    if labelled:
        weight = config.supervision.factor_weight
        penalties["factor_cross_entropy"] = PenaltySpec("factor_cross_entropy", "factor_cross_entropy", weight)
    try:
        built = objective.build(
            penalties, config.objective.estimator, model.latents, Examples(dataset.input_shape, encoder_of)
        )
    except ConfigError as error:
        names = {group: config.choices.get(group) for group in ("objective", "prior")}
        raise ConfigError(f"objective={names['objective']} does not fit prior={names['prior']}: {error}") from None
    if built.generates and dataset.values == "counts":
        raise ConfigError(
            f"objective={config.choices['objective']} does not fit dataset={config.choices['dataset']}: it generates "
            "examples, and the decoder does not model the number of words of one; expected images or vectors"
        )
    return built


def averaging_of(config: Config, dataset: Dataset, latents: Latents) -> Averaging | None:
    """Build what averages the posteriors of pairs; None where the objective asks for none.

    Raises:
        ConfigError: the data set makes no pairs, or a block has no average.
    """
    settings = config.objective.averaging
    if settings is None:
        return None
    where = f"objective={config.choices['objective']} does not fit"
    if dataset.partners is None:
        raise ConfigError(
            f"{where} dataset={config.choices['dataset']}: it averages the posteriors of pairs, and dataset.pairs is "
            f"null; expected {suggested(dataset)}"
        )
    try:
        return Averaging(latents, settings.posterior, settings.distance)
    except ConfigError as error:
        raise ConfigError(f"{where} prior={config.choices['prior']}: {error}") from None


def supervision_of(
    settings: SupervisionConfig, dataset: Dataset, latents: Latents, choices: Mapping[str, str]
) -> tuple[str, Tensor]:
    """Return the name of the discrete block that represents the labels, and the given labels, [N]."""
    where = f"supervision.fraction={settings.fraction:g}"
    if dataset.train.labels is None:
        raise ConfigError(f"{where}: dataset={choices['dataset']} has no labels; expected 0")
    fitting = [block for block in latents.blocks if block.discrete and block.n_code == dataset.n_classes]
    if len(fitting) != 1:
        raise ConfigError(
            f"{where}: prior={choices['prior']} has {len(fitting)} discrete variables of {dataset.n_classes} "
            "categories, one for each label; expected one, as in prior=normal_concrete"
        )
    return fitting[0].name, some_labels(dataset.train.labels, settings.fraction)


def labelled_of(
    settings: SupervisionConfig, dataset: Dataset, latents: Latents, choices: Mapping[str, str]
) -> tuple[Labelled | None, tuple[Assignment, ...]]:
    """Return the examples whose ground-truth factors are given, and the latents that represent these factors.

    Raises:
        ConfigError: the data set has no factors or too few examples, or the factors do not fit the latents.
    """
    count = settings.factor_examples
    if count is None:
        if settings.factors is not None:
            raise ConfigError("supervision.factors without supervision.factor_examples; expected both, or neither")
        return None, ()
    where, split = f"supervision.factor_examples={count}", dataset.train
    if dataset.factors is None or split.factors is None:
        raise ConfigError(f"{where}: dataset={choices['dataset']} has no ground-truth factors; expected null")
    if count > len(split):
        raise ConfigError(f"{where}: there are {len(split):,} training examples; expected at most that")
    assignments = assigned(dataset.factors, latents, settings.factors, f"prior={choices['prior']}")
    rows = some_examples(len(split), count)
    columns = [dataset.factors.names.index(each.factor) for each in assignments]
    return Labelled(rows, split.factors[rows][:, columns].long()), assignments


def _called(
    group: str, spec: Mapping[str, object], choices: Mapping[str, str | None], kind: type[T], **derived: object
) -> T:
    """Call the group's ``_target_`` with its own arguments and those derived from other parts.

    Raises:
        ConfigError: it does not exist, does not take the arguments, or returns another type than ``kind``.
    """
    where = f"{group}={choices.get(group)}"
    factory, arguments, taken = signed(where, group, spec, tuple(derived))
    check_kind(where, spec, factory, kind)
    made = factory(**arguments, **{name: derived[name] for name in taken})
    if not isinstance(made, kind):
        raise ConfigError(f"{where}: {spec['_target_']} returns {type(made).__name__}; expected {kind.__name__}")
    return made


def tracking_of(name: str, spec: Mapping[str, object]) -> Tracking:
    """Return the tracker's checked options, without opening it."""
    where = f"trackers.{name}"
    factory, options, _ = signed(where, where, spec, ())
    check_kind(where, spec, factory, Tracking)
    tracking = factory(**options)
    if not isinstance(tracking, Tracking):
        raise ConfigError(f"{where}: {spec['_target_']} returns {type(tracking).__name__}; expected a Tracking")
    return tracking

"""Assembles a run from its config: builds its objects and checks that they fit together."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from hfvae_runner.config import schedules, schema
from hfvae_runner.config.penalties import PenaltySpec
from hfvae_runner.config.schema import Config, RuntimeConfig, SupervisionConfig
from hfvae_runner.config.stored import NOTHING, Allowed
from hfvae_runner.config.targets import check_kind, signed
from hfvae_runner.data import Dataset, Description, as_float
from hfvae_runner.data.holdout import pruned
from hfvae_runner.data.own_files import standing_of
from hfvae_runner.data.sampling import restricted, weighted
from hfvae_runner.data.supervision import some_labels
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.latents.latents import Latents
from hfvae_runner.metrics import metric_of
from hfvae_runner.models import precision
from hfvae_runner.models.likelihoods import Likelihood, fitting
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.vae import VAE
from hfvae_runner.objectives import objective
from hfvae_runner.objectives.objective import Objective
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.run_folder import LAST
from hfvae_runner.trackers import Tracking
from hfvae_runner.training import graph, step
from hfvae_runner.training.batches import Batches
from hfvae_runner.training.checkpoint import initialise, restore_model
from hfvae_runner.training.memory import explained_exhaustion
from hfvae_runner.training.preload import import_ahead
from hfvae_runner.training.run import Run
from hfvae_runner.training.seeds import derived

logger = logging.getLogger(__name__)
T = TypeVar("T")
_THREADS = torch.get_num_threads()
_GROUPS: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "dataset": (Dataset, ()),
    "model": (Networks, ("input_shape", "latents", "likelihood")),
    "likelihood": (Likelihood, ("values",)),
    "prior": (Latents, ("n_classes", "examples", "n_factors")),
}
"""The type that a group's function returns, and its arguments that are derived from other parts."""
_OF_EVERY_DATASET = ("sampling", "holdout")
"""Options of the section ``dataset`` that are not arguments of its function."""
_VALUES = {"unit_interval": "values from 0 to 1", "real": "real numbers", "counts": "counts"}


@explained_exhaustion()
def check(config: Config) -> None:
    """Check that the config can run here: signatures, data, device, and that its parts fit together.

    Raises:
        RunnerError: the config cannot run; the message says in one line why.
    """
    run = assemble(config)
    if config.init_from is not None and config.resume is None:
        initialise(run.model, run_folder.source_of(config.init_from))


def assemble(config: Config) -> Run:
    """Build the run's objects; the initial parameters depend only on the seed.

    Raises:
        RunnerError: a class does not exist or does not take its arguments, parts do not fit together, data are missing,
            or this machine lacks the device.
    """
    device = device_of(config.device)
    precision.check(config.precision, device)
    if config.runtime.compile:
        step.check_compiler(device)
    if config.runtime.graph:
        graph.check(device)
    metrics = {name: metric_of(name, spec) for name, spec in config.metrics.chosen.items()}
    trackers = {name: _tracking(name, spec) for name, spec in config.trackers.items()}
    check_before_reading(config)
    import_ahead()
    dataset = dataset_of(config)
    torch.manual_seed(derived(config.seed, "parameters"))
    model = model_of(config, dataset)
    latents = model.latents
    block, labels = None, None
    if config.supervision.fraction:
        block, labels = _supervision(config.supervision, dataset, latents, config.choices)
    weighed = _objective(config, latents, supervised=block is not None).to(device)
    given = None if labels is None else labels.to(device)
    batches = Batches(dataset.train.x.to(device), config.batch_size, config.seed, given, dataset.train.weights)
    total = config.steps if config.steps is not None else (config.epochs or 0) * batches.steps_per_epoch
    return Run(config, dataset, model.to(device), weighed, batches, metrics, trackers, device, total, block)


def check_before_reading(config: Config) -> None:
    """Raise ConfigError for errors that are visible in the config alone, since reading the data may take minutes."""
    for group, (kind, derived_sizes) in _GROUPS.items():
        section: Mapping[str, object] = getattr(config, group)
        spec = {key: value for key, value in section.items() if key not in _OF_EVERY_DATASET}
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


def use_threads(config: Config) -> None:
    """Set torch's number of CPU threads to the config's, or back to torch's default if the config has none."""
    torch.set_num_threads(_THREADS if config.threads is None else config.threads)


def optimizer_of(run: Run) -> torch.optim.Adam:
    """Return Adam over the run's parameters, with AdamW's weight decay if there is any.

    The networks, the prior, and each term with parameters of its own have separate parameter groups. With weight decay,
    the networks have two: it applies to their weights, and not to their biases and scales, which are vectors.
    """
    settings = run.config.train
    of_prior = list(run.model.latents.parameters())
    apart = {id(parameter) for parameter in of_prior}
    of_networks = [parameter for parameter in run.model.parameters() if id(parameter) not in apart]
    decay = settings.weight_decay
    parts = [of_networks]
    if decay:
        parts = [
            [parameter for parameter in of_networks if (parameter.ndim > 1) is decayed] for decayed in (True, False)
        ]
    groups: list[dict[str, object]] = [
        *({"params": part, "weight_decay": own} for part, own in zip(parts, (decay, 0.0), strict=False)),
        {"params": of_prior, "lr": run.config.lr if settings.prior_lr is None else settings.prior_lr},
        *run.objective.parameter_groups(),
    ]
    first, second = settings.betas
    optimizer = torch.optim.Adam(
        [group for group in groups if group["params"]],
        lr=run.config.lr,
        betas=(first, second),
        amsgrad=settings.amsgrad,
        decoupled_weight_decay=decay > 0,
        capturable=run.config.runtime.graph,
        fused=True,
    )
    optimizer.register_load_state_dict_post_hook(_lay_out_as_parameters)
    return optimizer


def _lay_out_as_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Give restored moments the memory layout of their parameters.

    Fused Adam reads both in memory order; with different layouts it would use the moments of other weights.
    """
    for parameter, moments in optimizer.state.items():
        for name, moment in moments.items():
            if moment.shape == parameter.shape and moment.stride() != parameter.stride():
                moments[name] = torch.empty_like(parameter).copy_(moment)


def _prior(config: Config, dataset: Dataset) -> Latents:
    about_data = {
        "n_classes": dataset.n_classes,
        "examples": dataset.train.x,
        "n_factors": None if dataset.factors is None else sum(size > 1 for size in dataset.factors.sizes),
    }
    latents = _called("prior", config.prior, config.choices, Latents, **about_data)
    if config.train.prior_lr is not None and not list(latents.parameters()):
        raise ConfigError(
            f"train.prior_lr={config.train.prior_lr:g}: prior={config.choices['prior']} has nothing to learn; "
            "expected null, or a prior with prior.learned=true"
        )
    return latents.with_density(config.objective.discrete_density)


def _objective(config: Config, latents: Latents, *, supervised: bool) -> Objective:
    penalties = dict(config.objective.terms)
    if supervised:
        weight = schedules.parse(config.supervision.weight, "supervision.weight")
        penalties["label_likelihood"] = PenaltySpec("label_likelihood", "label_likelihood", weight)
    try:
        return objective.build(penalties, config.objective.estimator, latents)
    except ConfigError as error:
        names = {group: config.choices.get(group) for group in ("objective", "prior")}
        raise ConfigError(f"objective={names['objective']} does not fit prior={names['prior']}: {error}") from None


def _supervision(
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


def dataset_of(config: Config) -> Dataset:
    """Load the config's data set, with its options ``sampling`` and ``holdout`` applied.

    Raises:
        RunnerError: its files are missing, it lacks an option, or a run that the holdout names cannot be used.
    """
    allowed = Allowed.by(config.trust, config.resolved)
    own = json.dumps(config.dataset)
    standing = standing_of(config.dataset)
    return _dataset(own, standing, config.choices["dataset"], config.device, config.metrics.batch_size, allowed)


def refuse_other_data(dataset: Dataset, folder: Path) -> None:
    """Raise DataError where a run's folder describes other data, as of a file of one's own that has changed since."""
    stored = run_folder.read_data(folder)
    if stored is not None:
        Description.from_json(stored, str(folder / "data.json")).refuse_other(dataset, folder)


def finished_run(config: Config, folder: Path) -> Run:
    """Assemble a finished run, with its final parameters.

    Raises:
        RunnerError: the config cannot run here, its data have changed, or the folder's checkpoint cannot be used.
    """
    use_threads(config)
    # The options of training, perhaps on another machine, and the trackers are not needed for an evaluation.
    plainly = RuntimeConfig(compile=False, graph=False)
    run = assemble(replace(config, trackers={}, precision="fp32", runtime=plainly))
    refuse_other_data(run.dataset, folder)
    restore_model(run.model, folder / "checkpoints" / LAST)
    return run


def finished_model(folder: Path, choice: str, dataset: Dataset, device: str, allowed: Allowed = NOTHING) -> VAE:
    """Restore the model of a finished run; the global random state is unchanged.

    Args:
        folder: the run folder.
        choice: the data set's name.
        dataset: the data set, whose examples may differ from the run's.
        device: the model's device, as a config names it.
        allowed: functions that the run's config may name in addition to the installed choices.

    Raises:
        RunnerError: the folder holds no finished run, a run of another data set, or a function that is not allowed.
    """
    if run_folder.inspect(folder) != "finished":
        raise ConfigError(f"{folder} holds no finished run; expected the folder of one")
    config = schema.parse(run_folder.load_config(folder, allowed))
    if config.choices["dataset"] != choice:
        raise ConfigError(f"{folder} holds a run of dataset={config.choices['dataset']}; expected dataset={choice}")
    with torch.random.fork_rng(devices=[]):
        model = model_of(config, dataset)
    restore_model(model, folder / "checkpoints" / LAST)
    return model.to(device_of(device)).eval()


@lru_cache(maxsize=1)
def _dataset(
    spec: str, standing: tuple[object, ...], choice: str, device: str, batch_size: int, allowed: Allowed
) -> Dataset:
    """Load a data set, cached, since a run is checked before it starts and the jobs of a sweep share their data.

    standing: of the user's own files, which may change under the same name during the process.
    """
    own = json.loads(spec)
    sampling, holdout = (own.pop(key, None) for key in _OF_EVERY_DATASET)
    whole = restricted(_published(own, choice), sampling)
    # Cached, since several conditions may name one run.
    means = lru_cache(maxsize=1)(lambda folder: _latent_means(Path(folder), choice, whole, device, batch_size, allowed))

    def latent_means(folder: str, factor: str) -> Tensor:
        of_factors = means(folder)
        if factor not in of_factors:
            known = ", ".join(of_factors)
            raise ConfigError(
                f"{folder} has no continuous factor {factor!r}; expected one of {known}{nearest(factor, of_factors)}"
            )
        return of_factors[factor]

    return weighted(pruned(whole, holdout, latent_means), sampling)


@torch.no_grad()
def _latent_means(
    folder: Path, choice: str, dataset: Dataset, device: str, batch_size: int, allowed: Allowed
) -> dict[str, Tensor]:
    """Compute a finished run's posterior means of the training examples: [N] on the CPU, by continuous factor."""
    model = finished_model(folder, choice, dataset, device, allowed)
    blocks = model.latents.blocks
    continuous = [g for g, block in enumerate(blocks) if not block.discrete]
    names = [name for g in continuous for name in blocks[g].factor_names]
    x, columns = dataset.train.x, {name: torch.empty(len(dataset.train)) for name in names}
    for index in torch.arange(len(x)).split(batch_size):
        mode = model.latents.mode(model.encode(as_float(x[index].to(device_of(device)))))
        for name, column in zip(names, (each for g in continuous for each in mode[g].unbind(1)), strict=True):
            columns[name][index] = column.cpu()
    return columns


def _published(spec: Mapping[str, object], choice: str) -> Dataset:
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


def _tracking(name: str, spec: Mapping[str, object]) -> Tracking:
    """Return the tracker's checked options, without opening it."""
    where = f"trackers.{name}"
    factory, options, _ = signed(where, where, spec, ())
    check_kind(where, spec, factory, Tracking)
    tracking = factory(**options)
    if not isinstance(tracking, Tracking):
        raise ConfigError(f"{where}: {spec['_target_']} returns {type(tracking).__name__}; expected a Tracking")
    return tracking


def device_of(name: str) -> torch.device:
    """Return the device that a config names; raises ConfigError where this machine lacks it."""
    if name == "auto":
        # In a sweep on several GPUs, the job's current device has been set before.
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ConfigError(f"device={name}: this machine has {count} CUDA devices; expected auto or cpu")
        return torch.device("cuda", device.index or 0)
    return device

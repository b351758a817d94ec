"""Assembles a run from its config: builds its objects and checks that they fit together."""

import json
import logging
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config, RuntimeConfig
from hfvae_runner.config.stored import NOTHING, Allowed
from hfvae_runner.data import Dataset, Description, as_float
from hfvae_runner.data.holdout import pruned
from hfvae_runner.data.own_files import standing_of
from hfvae_runner.data.pairs import paired
from hfvae_runner.data.sampling import restricted, weighted
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.metrics import metric_of
from hfvae_runner.models import precision
from hfvae_runner.models.vae import VAE
from hfvae_runner.runs.parts import (
    OF_EVERY_DATASET,
    averaging_of,
    check_before_reading,
    labelled_of,
    model_of,
    objective_of,
    published,
    supervision_of,
    tracking_of,
)
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.run_folder import LAST
from hfvae_runner.training import graph, step
from hfvae_runner.training.ahead import CudaTransfer
from hfvae_runner.training.batches import Batches
from hfvae_runner.training.checkpoint import initialise, restore_model
from hfvae_runner.training.memory import explained_exhaustion, holds, refuse_too_large
from hfvae_runner.training.preload import import_ahead
from hfvae_runner.training.run import Run
from hfvae_runner.training.seeds import derived

logger = logging.getLogger(__name__)
_THREADS = torch.get_num_threads()


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
    trackers = {name: tracking_of(name, spec) for name, spec in config.trackers.items()}
    check_before_reading(config)
    import_ahead()
    dataset = dataset_of(config)
    torch.manual_seed(derived(config.seed, "parameters"))
    model = model_of(config, dataset)
    latents = model.latents
    block, labels = None, None
    if config.supervision.fraction:
        block, labels = supervision_of(config.supervision, dataset, latents, config.choices)
    labelled, assignments = labelled_of(config.supervision, dataset, latents, config.choices)
    given_labels, given_factors = block is not None, labelled is not None
    weighed = objective_of(config, dataset, model, supervised=given_labels, labelled=given_factors).to(device)
    averaging = averaging_of(config, dataset, latents)
    given = None if labels is None else labels.to(device)
    # A set that the device cannot hold stays where it is, and its batches are copied.
    held = holds(device, dataset.train.x.nbytes)
    x, transfer = (dataset.train.x.to(device), None) if held else (dataset.train.x, CudaTransfer(device))
    batches = Batches(
        x,
        config.batch_size,
        config.seed,
        given,
        dataset.train.weights,
        dataset.partners,
        transfer,
        None if labelled is None else labelled.to(x.device),
    )
    total = config.steps if config.steps is not None else (config.epochs or 0) * batches.steps_per_epoch
    model = model.to(device)
    refuse_too_large([*model.parameters(), *weighed.parameters()], device, amsgrad=config.train.amsgrad)
    return Run(
        config, dataset, model, weighed, batches, metrics, trackers, device, total, block, averaging, assignments
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


def dataset_of(config: Config) -> Dataset:
    """Load the config's data set, with its options ``sampling``, ``holdout`` and ``pairs`` applied.

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
    section = dict(own)
    sampling, holdout, _ = (own.pop(key, None) for key in OF_EVERY_DATASET)
    whole = restricted(published(own, choice), sampling)
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

    return paired(weighted(pruned(whole, holdout, latent_means), sampling), section)


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

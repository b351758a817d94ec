"""Loads the model of a run folder, or of one of its checkpoints, to use it."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.config.stored import Allowed, guarded
from hfvae_runner.data import Dataset, Description
from hfvae_runner.errors import CheckpointError
from hfvae_runner.models.vae import VAE
from hfvae_runner.runs.assembly import dataset_of, device_of
from hfvae_runner.runs.parts import model_of
from hfvae_runner.storage import run_folder
from hfvae_runner.training.checkpoint import restore_model, restore_parameters

EXPORTED, EXPORTED_CONFIG = "model.safetensors", "config.json"
"""What a folder holds that ``hfvae_runner.export`` wrote."""
EXPORTED_SCHEMA = 1


@dataclass(frozen=True)
class LoadedModel:
    """A run's model with its trained parameters.

    Attributes:
        folder: of the run.
        checkpoint: the file that the parameters are from.
        config: of the run.
        model: in evaluation mode, on its device.
        data: of the run, described.
        step: the optimiser steps that the parameters have behind them.
        metrics: of an exported run; None where they are in the run folder, if anywhere.
    """

    folder: Path
    checkpoint: Path
    config: Config
    model: VAE
    data: Description
    step: int
    metrics: dict[str, object] | None = None


def load_model(path: Path, device: str = "auto", trust: tuple[str, ...] = ()) -> LoadedModel:
    """Load the model of a run folder, finished or not, of one of its checkpoints, or of an exported folder.

    The data set is read only where the folder has no ``data.json``, which runs before version 0.2 did not write. The
    global random state is unchanged, and nothing in the folder is executed.

    Args:
        path: a run folder, ``checkpoints/NAME.pt`` of one, or a folder with ``model.safetensors``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        trust: modules of which the run's config may name functions.

    Raises:
        CheckpointError: there is no such run, or its files cannot be read.
        ConfigError: the config names a function that is not allowed, or the device is not there.
        DataError: the data set is needed and is not there.
    """
    path = Path(path)
    allowed = Allowed.by(trust, {})
    if (path / EXPORTED).exists():
        return _load_exported(path, device, allowed)
    folder = path.parent.parent if path.suffix == ".pt" and not path.is_dir() else path
    if not folder.is_dir():
        raise CheckpointError(f"{path}: no such run; expected a run folder, or one of its checkpoints")
    checkpoint = run_folder.checkpoint_of(folder) if folder == path else path
    if checkpoint is None:
        raise CheckpointError(f"{path} holds no checkpoint; expected a run folder with one")
    config = schema.parse(run_folder.load_config(folder, allowed))
    stored = run_folder.read_data(folder)
    if stored is None:
        dataset = dataset_of(config)
        data = Description.of(dataset)
    else:
        data = Description.from_json(stored, str(folder / "data.json"))
        dataset = data.stand_in()
    model = _built(config, dataset)
    step = restore_model(model, checkpoint)
    return LoadedModel(folder, checkpoint, config, model.to(device_of(device)).eval(), data, step)


def _load_exported(folder: Path, device: str, allowed: Allowed) -> LoadedModel:
    path, file = folder / EXPORTED_CONFIG, folder / EXPORTED
    content = run_folder.read_json(path)
    step = content.get("step")
    has_sections = all(isinstance(content.get(key), dict) for key in ("config", "data"))
    if content.get("schema") != EXPORTED_SCHEMA or not has_sections or not isinstance(step, int):
        raise CheckpointError(f"{path} is not an export's; expected schema {EXPORTED_SCHEMA}, config, data and step")
    config = schema.parse(guarded(cast(dict[str, object], content["config"]), path, allowed))
    data = Description.from_json(cast(dict[str, object], content["data"]), str(path))
    model = _built(config, data.stand_in())
    try:
        parameters = load_file(str(file))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}); expected a safetensors file") from error
    restore_parameters(model, parameters, file)
    metrics = content.get("metrics")
    known = metrics if isinstance(metrics, dict) else None
    return LoadedModel(folder, file, config, model.to(device_of(device)).eval(), data, step, known)


def _built(config: Config, dataset: Dataset) -> VAE:
    """The model with new parameters; the global random state is unchanged."""
    with torch.random.fork_rng(devices=[]):
        return model_of(config, dataset)

"""Loads the model of a run folder, or of one of its checkpoints, to use it."""

from dataclasses import dataclass
from pathlib import Path

import torch

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.config.stored import Allowed
from hfvae_runner.data import Description
from hfvae_runner.errors import CheckpointError
from hfvae_runner.models.vae import VAE
from hfvae_runner.runs.assembly import dataset_of, device_of, model_of
from hfvae_runner.storage import run_folder
from hfvae_runner.training.checkpoint import restore_model


@dataclass(frozen=True)
class LoadedModel:
    """A run's model with its trained parameters.

    Attributes:
        folder: of the run.
        checkpoint: the file that the parameters are from.
        config: of the run.
        model: in evaluation mode, on its device.
        data: of the run, described.
    """

    folder: Path
    checkpoint: Path
    config: Config
    model: VAE
    data: Description


def load_model(path: Path, device: str = "auto", trust: tuple[str, ...] = ()) -> LoadedModel:
    """Load the model of a run folder, finished or not, or of one of its checkpoints.

    The data set is read only where the folder has no ``data.json``, which runs before version 0.2 did not write. The
    global random state is unchanged, and nothing in the folder is executed.

    Args:
        path: a run folder, or ``checkpoints/NAME.pt`` of one.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        trust: modules of which the run's config may name functions.

    Raises:
        CheckpointError: there is no such run, or its files cannot be read.
        ConfigError: the config names a function that is not allowed, or the device is not there.
        DataError: the data set is needed and is not there.
    """
    path = Path(path)
    folder = path.parent.parent if path.suffix == ".pt" and not path.is_dir() else path
    if not folder.is_dir():
        raise CheckpointError(f"{path}: no such run; expected a run folder, or one of its checkpoints")
    checkpoint = run_folder.checkpoint_of(folder) if folder == path else path
    if checkpoint is None:
        raise CheckpointError(f"{path} holds no checkpoint; expected a run folder with one")
    config = schema.parse(run_folder.load_config(folder, Allowed.by(trust, {})))
    target = device_of(device)
    stored = run_folder.read_data(folder)
    if stored is None:
        dataset = dataset_of(config)
        data = Description.of(dataset)
    else:
        data = Description.from_json(stored, str(folder / "data.json"))
        dataset = data.stand_in()
    with torch.random.fork_rng(devices=[]):
        model = model_of(config, dataset)
    restore_model(model, checkpoint)
    return LoadedModel(folder, checkpoint, config, model.to(target).eval(), data)

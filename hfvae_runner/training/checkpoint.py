"""Checkpoints: parameters, optimiser, step, every random state and the thread count, to resume bit for bit.

The order of the data depends only on (seed, epoch), and a schedule only on the step, so the step restores both.
"""

import io
import logging
import lzma
import os
import pickle
import random
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hfvae_runner.errors import CheckpointError, Diverged, StorageError
from hfvae_runner.storage.files import atomic, flush_folder, write_atomic, writing
from hfvae_runner.storage.run_folder import LAST, step_files

_FORMAT = 3
# Space for the file system's own data, and for the growth of the run's other files until the next checkpoint.
_SPARE_BYTES = 1_000_000
_CONTENT: Mapping[str, type] = {
    "step": int,
    "seconds": float,
    "model": dict,
    "objective": dict,
    "optimizer": dict,
    "generator": Tensor,
    "generator_device": str,
    "rng": dict,
    "threads": int,
    "restarts": list,
    "config": str,
}
_WITH_STATISTICS = (nn.BatchNorm1d, nn.BatchNorm2d)
# Errors that zipfile and the restricted unpickler raise for a damaged or foreign file.
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)

logger = logging.getLogger(__name__)


@dataclass
class State:
    """The state of a run between two steps.

    Attributes:
        model: the networks and the prior.
        objective: the objective, whose terms may have parameters of their own.
        optimizer: the optimiser of all these parameters.
        generator: the noise generator, on the training device, seeded from the run's seed.
        step: the optimiser steps taken so far.
        seconds: the wall time of these steps, in seconds, over all resumes.
        restarts: for each restart after a divergence, the ``step`` it resumed from and the new learning rate ``lr``.
        initialised: what ``initialise`` returned, where ``init_from`` names a run; else None.
        rng: the run's random states while the process works on other runs; None while they are the process's own.
    """

    model: nn.Module
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0
    seconds: float = 0.0
    restarts: list[dict[str, float]] = field(default_factory=list)
    initialised: dict[str, object] | None = None
    rng: dict[str, object] | None = None

    @property
    def lr(self) -> float:
        """The networks' current learning rate."""
        lr: float = self.optimizer.param_groups[0]["lr"]
        return lr

    def save(self, checkpoints: Path, keep: int, config_text: str) -> Path:
        """Write ``step_NNNNNNNN.pt`` atomically, replace ``last.pt`` by it, and return the path of the former.

        The newest ``keep`` step files are kept. Files of a later step, which a restarted run has left, are removed.

        Args:
            checkpoints: the folder of the checkpoints.
            keep: how many step files to keep.
            config_text: the config, which is stored in the checkpoint.

        Raises:
            Diverged: a parameter is not finite; nothing is written.
            StorageError: the disk is full, or fails; ``last.pt`` is unchanged or whole.
        """
        for name, parameter in chain(self.model.named_parameters(), self.objective.named_parameters()):
            if not torch.isfinite(parameter).all():
                raise Diverged(f"parameter {name!r} is not finite at step {self.step}")
        path = checkpoints / f"step_{self.step:08d}.pt"
        # In memory first: torch would hide an error of the disk behind its own, and the size is known before the write.
        buffer = io.BytesIO()
        torch.save(self._content(config_text), buffer)
        _refuse_a_full_disk(path, buffer.getbuffer().nbytes)
        with atomic(path) as stream:
            stream.write(buffer.getbuffer())
        point_last_to(path)
        steps = step_files(checkpoints)
        past = [file for file in steps if steps[file] <= self.step]
        for file in steps.keys() - set(past[:keep]):
            file.unlink()
        return path

    def hold_random_states(self) -> None:
        """Save the process's random states as this run's, before other runs draw from them."""
        self.rng = _random_states(self.generator.device)

    def restore_random_states(self) -> None:
        """Restore the saved random states, if there are any."""
        if self.rng is not None:
            _set_random_states(self.rng, self.generator.device)
            self.rng = None

    def _content(self, config_text: str) -> dict[str, object]:
        return {
            "format": _FORMAT,
            "step": self.step,
            "seconds": self.seconds,
            "model": _plain(dict(self.model.state_dict()), "model"),
            "objective": _plain(dict(self.objective.state_dict()), "objective"),
            "optimizer": _plain(self.optimizer.state_dict(), "optimizer"),
            "generator": self.generator.get_state(),
            "generator_device": self.generator.device.type,
            "rng": _random_states(self.generator.device) if self.rng is None else self.rng,
            "threads": torch.get_num_threads(),
            "restarts": [dict(each) for each in self.restarts],
            "initialised": self.initialised,
            "config": config_text,
        }


def restore(state: State, path: Path) -> None:
    """Restore a checkpoint into ``state``, on its device, and into the process's random states.

    If the device's type differs from the checkpoint's, the noise generator is seeded again from its seed and the step,
    and the resumed run differs from an uninterrupted one. Nothing in the file is executed.

    Raises:
        CheckpointError: the file is missing, damaged, no checkpoint, of another format, or of another model or
            optimiser; nothing is changed.
    """
    content = _fitting(state, path)
    initialised = _initialised(content, path)
    for group, own in zip(content["optimizer"]["param_groups"], state.optimizer.param_groups, strict=True):
        # These options depend on the device, so the resumed run keeps its own.
        group.update({key: own[key] for key in ("capturable", "foreach", "fused") if key in own})

    state.model.load_state_dict(content["model"])
    state.objective.load_state_dict(content["objective"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.step = content["step"]
    state.seconds = content["seconds"]
    state.restarts = content["restarts"]
    state.initialised = initialised
    device = state.generator.device.type
    if device == content["generator_device"]:
        state.generator.set_state(content["generator"])
    else:
        seed = np.random.SeedSequence([state.generator.initial_seed(), state.step]).generate_state(1, np.uint64)
        state.generator.manual_seed(int(seed[0]))
        stored = content["generator_device"]
        logger.warning("%s was saved on %s, this is %s: the noise is drawn anew, not to the bit", path, stored, device)
    _set_random_states(content["rng"], state.generator.device)
    torch.set_num_threads(content["threads"])


def _initialised(content: Mapping[str, Any], path: Path) -> dict[str, object] | None:
    """Return what ``initialise`` returned, from a checkpoint; raise CheckpointError if it is something else."""
    found = content.get("initialised")
    if found is None:
        return None
    kinds: dict[str, type] = {"path": str, "step": int, "taken": list, "left": list}
    is_whole = isinstance(found, dict) and found.keys() == kinds.keys()
    if not is_whole or not all(isinstance(found[key], kind) for key, kind in kinds.items()):
        raise CheckpointError(f"{path} is no checkpoint of a run: 'initialised' is not {', '.join(kinds)}")
    if not all(isinstance(name, str) for key in ("taken", "left") for name in found[key]):
        raise CheckpointError(f"{path} is no checkpoint of a run: 'initialised' names parameters that are no text")
    return dict(found)


def restore_model(model: nn.Module, path: Path) -> int:
    """Restore only the parameters of a model from a checkpoint, and return its step.

    Raises:
        CheckpointError: the file is missing, damaged, no checkpoint, of another format, or of another model; nothing
            is changed.
    """
    content = _read(path)
    restore_parameters(model, content["model"], path)
    step: int = content["step"]
    return step


def initialise(model: nn.Module, path: Path) -> dict[str, object]:
    """Set the parameters of a new model to those of a checkpoint, where names and shapes are the same.

    The statistics of batch normalisation belong to the parameters. Other buffers hold what the config fixes, such as
    the exponents of a prior, and stay as they are.

    Args:
        model: to set.
        path: of the checkpoint.

    Returns:
        The checkpoint's ``path`` and ``step``, and the names of the parameters that were ``taken`` and ``left``.

    Raises:
        CheckpointError: the file cannot be read, or nothing in it fits; nothing is changed.
    """
    content = _read(path)
    own, stored = model.state_dict(), content["model"]
    fixed = _fixed_by_config(model)
    taken = [name for name in own if name not in fixed and _describe(own[name]) == _describe(stored.get(name))]
    if not taken:
        raise CheckpointError(f"{path}: none of its parameters fits this model; expected a run of a model like it")
    model.load_state_dict({**own, **{name: stored[name] for name in taken}})
    left = [name for name in own if name not in taken and name not in fixed]
    return {"path": str(path), "step": content["step"], "taken": taken, "left": left}


def _fixed_by_config(model: nn.Module) -> set[str]:
    """Return the names of the buffers that hold the config's own values instead of statistics of the training."""
    modules = [(prefix, module) for prefix, module in model.named_modules() if not isinstance(module, _WITH_STATISTICS)]
    return {f"{prefix}.{name}" if prefix else name for prefix, module in modules for name in module._buffers}


def restore_parameters(model: nn.Module, parameters: Mapping[str, Tensor], path: Path) -> None:
    """Restore a model's parameters and buffers.

    Args:
        model: to restore.
        parameters: by their names.
        path: where they are from, for the message.

    Raises:
        CheckpointError: they are of another model; nothing is changed.
    """
    _check_parameters("model", model.state_dict(), parameters, path)
    model.load_state_dict(parameters)


def newest_good(state: State, checkpoints: Path) -> Path | None:
    """Return the newest numbered checkpoint that ``restore`` accepts, or None."""
    for path in step_files(checkpoints):
        try:
            _fitting(state, path)
        except CheckpointError:
            continue
        return path
    return None


def _fitting(state: State, path: Path) -> dict[str, Any]:
    """Read a checkpoint; raise CheckpointError if it does not fit the state."""
    content = _read(path)
    for part, module in {"model": state.model, "objective": state.objective}.items():
        _check_parameters(part, module.state_dict(), content[part], path)
    groups = content["optimizer"]["param_groups"], state.optimizer.param_groups
    sizes, own_sizes = ([len(group["params"]) for group in each] for each in groups)
    if sizes != own_sizes:
        raise CheckpointError(f"{path}: optimiser groups of {sizes} parameters; expected {own_sizes}")
    return content


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; expected a checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            # torch stores records uncompressed: a file that unpacks to more than its size could only fill the memory.
            if sum(record.file_size for record in archive.infolist()) > path.stat().st_size:
                raise zipfile.BadZipFile("its records unpack to more than the file holds")
            damaged = archive.testzip()
        if damaged is None:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path} cannot be loaded: it holds more than numbers and text") from error
    except _UNREADABLE as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint: {' '.join(str(error).split())[:200]}") from error
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged: record {damaged!r} does not match its checksum")
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(f"{path} is no checkpoint of a run")
    if content["format"] != _FORMAT:
        raise CheckpointError(f"{path} has checkpoint format {content['format']!r}; expected {_FORMAT}")
    for key, kind in _CONTENT.items():
        if not isinstance(content.get(key), kind):
            raise CheckpointError(f"{path} is no checkpoint of a run: {key!r} is not {kind.__name__}")
    return content


def _check_parameters(part: str, own: Mapping[str, object], stored: Mapping[str, object], path: Path) -> None:
    differences = (
        f"{name}: {_describe(stored.get(name))} (expected {_describe(own.get(name))})"
        for name in dict.fromkeys([*own, *stored])
        if _describe(own.get(name)) != _describe(stored.get(name))
    )
    if first := list(islice(differences, 3)):
        raise CheckpointError(f"{path} is of another {part}: {', '.join(first)}")


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return "absent" if value is None else type(value).__name__


def point_last_to(path: Path) -> None:
    """Make ``last.pt`` a hard link to (or a copy of) the checkpoint at the path; raise StorageError on failure."""
    last = path.with_name(LAST)
    temporary = path.with_name(f".{LAST}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:
        # The file system has no hard links.
        write_atomic(last, path.read_bytes())
        return
    with writing(last):
        try:
            os.replace(temporary, last)
        finally:
            temporary.unlink(missing_ok=True)
        flush_folder(path.parent)


def _refuse_a_full_disk(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < size + _SPARE_BYTES:
        raise StorageError(
            f"{path} cannot be written: it needs {(size + _SPARE_BYTES) / 1e6:.1f} MB, {free / 1e6:.1f} MB are free"
        )


def _plain(value: object, place: str) -> object:
    """Return the value with tensors that are parts of larger storages copied out of them.

    Raises:
        TypeError: the restricted loader would refuse the value.
    """
    if isinstance(value, Tensor):
        tensor = value.detach()
        return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor
    if isinstance(value, dict):
        return {key: _plain(inner, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        items = [_plain(inner, f"{place}[{index}]") for index, inner in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    # Subclasses, such as NumPy's float64, could be saved but not loaded.
    if value is not None and type(value) not in (bool, int, float, str):
        raise TypeError(f"{place} is {type(value).__name__}; expected a tensor, a number or text")
    return value


def _random_states(device: torch.device) -> dict[str, object]:
    legacy = dict(np.random.get_state(legacy=False))
    bits = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in legacy["state"].items()}
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "python": random.getstate(),
        "numpy": {**legacy, "state": bits},
    }


def _set_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])

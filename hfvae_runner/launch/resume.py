"""Going on with a run: what may change on the way, and what is refused."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hfvae_runner import record, schema
from hfvae_runner.errors import CheckpointError, ConfigError
from hfvae_runner.launch.composition import composed, config_folder, explain, leaves, unknown_key
from hfvae_runner.schema import ALL_GROUPS, RESUME_AUTO, Config
from hfvae_runner.stored import Allowed, check_destinations, modules

# None of these touches the numbers of a run that goes on; `steps` and `epochs` only add to them. `dataset.root` is what
# data sets call the folder that `data_root` names.
MAY_CHANGE = (
    "resume",
    "steps",
    "epochs",
    "device",
    "data_root",
    "dataset.root",
    "dataset.download",
    "debug",
    "trust",
    "runtime.graph",
    "train.progress",
    "train.restarts",
    "train.restart_factor",
    "checkpoints.every",
    "checkpoints.keep",
    "on_divergence",
    "optimized_metric",
)

_TRUST = "trust"
_TRACKERS = "trackers"  # all of its keys may change as well
_SHOWN_DIFFERENCES = 6


def standing_job(config: Config, folder: Path) -> Config | None:
    """The config to run in this folder, or None where the folder already holds what is asked for.

    Raises:
        ConfigError: a run stands there and `resume` was not given, or it was made with other values.
        CheckpointError: the folder holds files that are not a run's.
    """
    standing = record.inspect(folder)
    if standing in ("absent", "leftover"):
        if standing == "leftover" and (stranger := record.foreign(folder)) is not None:
            raise CheckpointError(
                f"run folder {folder} holds {stranger.name!r}, which no run writes; expected a new name"
            )
        return config
    if config.resume is None:
        raise ConfigError(
            f"run folder {folder} holds a {standing} run; expected another folder, or resume=auto to go on with it"
        )
    stored = record.load_config(folder, Allowed.by(config.trust, config.resolved))
    _refuse_changes(stored, config.resolved, folder)
    extended = _is_extended(schema.parse(stored), config, folder)
    return config if extended or standing == "resumable" or config.resume != RESUME_AUTO else None


def stored_job(path: Path, overrides: Sequence[Override]) -> tuple[Config | None, Path]:
    """The config of `resume=FOLDER`, the run's own with the overrides that may change it, and the run's folder.

    The path may be that of one of its checkpoints, which the run is then taken back to. None where the run has finished
    and is not extended. A run that was killed before its first checkpoint starts again.

    Raises:
        CheckpointError: there is no run to go on with.
        ConfigError: an override is unknown, malformed, or would make another run of it; the run's own config names
            functions or places that this command line does not allow.
    """
    of_file = path.suffix == ".pt" and not path.is_dir()
    folder = path.parent.parent if of_file else path
    if of_file and not path.is_file():
        raise CheckpointError(f"resume={path}: no such checkpoint; expected a file, or the folder of an earlier run")
    if record.inspect(folder) == "absent":
        raise CheckpointError(f"resume={folder}: no run there; expected {RESUME_AUTO} or the folder of an earlier run")
    resolved = stored_config(folder, overrides)
    about_trackers = [each for each in overrides if each.key_or_group.partition(".")[0] == _TRACKERS]
    chosen_anew = any(each.key_or_group == _TRACKERS for each in about_trackers)
    if chosen_anew:
        resolved[_TRACKERS] = composed([str(each.input_line) for each in about_trackers])[_TRACKERS]
    for override in overrides:
        if override.key_or_group != "resume" and not (chosen_anew and override in about_trackers):
            set_value(resolved, override)
    check_destinations(resolved, folder / "config.yaml", [each.key_or_group for each in overrides])
    resolved["resume"] = str(path) if of_file else RESUME_AUTO
    return standing_job(schema.parse(resolved), folder), folder


def stored_config(folder: Path, overrides: Sequence[Override]) -> dict[str, object]:
    """The config of a run folder as this command line allows it; the overrides are not put in their places.

    Raises:
        CheckpointError: it cannot be read.
        ConfigError: it names a function that is neither installed, nor typed again, nor in a trusted module.
    """
    trust: tuple[str, ...] = ()
    typed: dict[str, Any] = {}
    for override in overrides:
        if override.is_sweep_override() or override.is_delete():
            continue
        if override.key_or_group == _TRUST:
            trust = modules(override.value())
        *parents, key = override.key_or_group.split(".")
        section = typed
        for parent in parents:
            if not isinstance(section.get(parent), dict):
                section[parent] = {}
            section = section[parent]
        section[key] = override.value()
    return {**deepcopy(record.load_config(folder, Allowed.by(trust, typed))), _TRUST: []}


def set_value(resolved: dict[str, object], override: Override) -> None:
    """Puts an override's value in its place in a resolved config; ``data_root`` also where data sets have it.

    Raises:
        ConfigError: there is no such key, or the override is no plain value.
    """
    given, path = str(override.input_line), override.key_or_group
    if override.is_sweep_override() or override.is_delete() or path.startswith(("hydra.", "hydra/")):
        raise ConfigError(f"{given} cannot be given to a run that stands; expected a new value of a single key")
    section: object = resolved
    if path in ALL_GROUPS:
        section, key = resolved.get("choices"), path
    elif (config_folder() / path).is_dir():
        raise ConfigError(f"{given} cannot be given to a run that stands; expected a new value of a single key")
    else:
        *parents, key = path.split(".")
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
    if not isinstance(section, dict) or key not in section:
        raise ConfigError(unknown_key(given, path, resolved))
    section[key] = _plain(override)
    dataset = resolved.get("dataset")
    if path == "data_root" and isinstance(dataset, dict) and "root" in dataset:
        dataset["root"] = section[key]


def _plain(override: Override) -> object:
    try:
        container = OmegaConf.to_container(DictConfig({"value": override.value()}), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{override.input_line}: {explain(error, [])}") from error
    assert isinstance(container, dict)
    return container["value"]


def _refuse_changes(stored: Mapping[str, object], asked: Mapping[str, object], folder: Path) -> None:
    old, new = dict(leaves(stored)), dict(leaves(asked))
    same = {key for key in old.keys() & new.keys() if old[key] == new[key]}
    changed = [key for key in {**old, **new} if key not in same and not _may_change(key)]
    if not changed:
        return
    changed.sort(key=lambda key: not key.startswith("choices."))
    listed = [f"{key.removeprefix('choices.')}: {_shown(old, key)} → {_shown(new, key)}" for key in changed]
    more = len(listed) - _SHOWN_DIFFERENCES
    raise ConfigError(
        f"{folder} holds a run with other values ({', '.join(listed[:_SHOWN_DIFFERENCES])}"
        f"{f' and {more} more' if more > 0 else ''}); expected the same, but for {', '.join(MAY_CHANGE[1:])}"
    )


def _may_change(key: str) -> bool:
    return key in MAY_CHANGE or key.partition(".")[0] == _TRACKERS


def _is_extended(stored: Config, asked: Config, folder: Path) -> bool:
    """Whether more steps are asked for; where one counts steps and the other epochs, whether they may be."""
    before, after = _extent(stored), _extent(asked)
    if before[0] == after[0] and after[1] < before[1]:
        raise ConfigError(f"{after[0]}={after[1]}: {folder} holds a run of {before[1]} {after[0]}; expected no fewer")
    return before != after


def _extent(config: Config) -> tuple[str, int]:
    if config.steps is not None:
        return "steps", config.steps
    assert config.epochs is not None
    return "epochs", config.epochs


def _shown(values: Mapping[str, object], key: str) -> str:
    if key not in values:
        return "absent"
    return "null" if values[key] is None else str(values[key])

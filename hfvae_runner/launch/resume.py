"""Resuming a run: which values may change, and which changes are refused."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hfvae_runner.config import schema
from hfvae_runner.config.schema import ALL_GROUPS, RESUME_AUTO, Config
from hfvae_runner.config.stored import Allowed, check_destinations, completed, modules
from hfvae_runner.errors import CheckpointError, ConfigError
from hfvae_runner.launch.composition import cannot_set, composed, config_folder, explain, leaves
from hfvae_runner.storage import run_folder

# None of these changes the results of a resumed run; `steps` and `epochs` only extend it. `dataset.root` is the data
# sets' name for the folder `data_root`.
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
# All keys of these sections may change as well.
_TRACKERS, _METRICS = "trackers", "metrics"
_THREADS = "threads"
_SHOWN_DIFFERENCES = 6


@dataclass(frozen=True)
class Job:
    """The work that is left in a run folder.

    Attributes:
        config: the run's config.
        measures_only: whether its training has finished and only metrics are left to compute.
    """

    config: Config
    measures_only: bool = False


def folder_to_resume(overrides: Sequence[Override]) -> Path | None:
    """Return the run folder or checkpoint that ``resume=`` names; None for ``auto``, and where it is not given."""
    for override in reversed(overrides):
        if override.key_or_group == "resume" and not override.is_sweep_override() and not override.is_delete():
            value = override.value()
            return None if value is None or value == "" or value == RESUME_AUTO else Path(str(value))
    return None


def standing_job(config: Config, folder: Path) -> Job | None:
    """Return the work that is left in this folder; None if it already holds all results of the config.

    A run is resumed with its own number of threads, so that its results are the same bit for bit.

    Raises:
        ConfigError: the folder holds a run and `resume` was not given, or its run has other values.
        CheckpointError: the folder holds files that are not a run's.
    """
    standing = run_folder.inspect(folder)
    if standing in ("absent", "leftover"):
        if standing == "leftover" and (stranger := run_folder.foreign(folder)) is not None:
            raise CheckpointError(
                f"run folder {folder} holds {stranger.name!r}, which no run writes; expected a new name"
            )
        # There is nothing to resume, so that what a new run starts from is checked.
        return Job(replace(config, resume=None))
    if config.resume is None:
        raise ConfigError(
            f"run folder {folder} holds a {standing} run; expected another folder, or resume=auto to resume it"
        )
    resolved = run_folder.load_config(folder, Allowed.by(config.trust, config.resolved))
    _refuse_changes(resolved, config.resolved, folder)
    stored = schema.parse(resolved)
    extended = _is_extended(stored, config, folder)
    if extended or standing == "resumable" or config.resume != RESUME_AUTO:
        return Job(_with_threads(config, stored.threads))
    return None if _is_measured(stored, config, folder) else Job(config, measures_only=True)


def stored_job(path: Path, overrides: Sequence[Override]) -> tuple[Job | None, Path]:
    """Return the job of `resume=FOLDER`, with the overrides applied to the run's own config, and the run's folder.

    The path may also name one of its checkpoints, from which the run then resumes. The job is None if the run has
    finished and the overrides require nothing more. A run that was killed before its first checkpoint starts again.

    Raises:
        CheckpointError: there is no run to resume.
        ConfigError: an override is unknown, malformed, or would make it another run; or the run's own config names
            functions or destinations that this command line does not allow.
    """
    of_file = path.suffix == ".pt" and not path.is_dir()
    folder = path.parent.parent if of_file else path
    if of_file and not path.is_file():
        raise CheckpointError(f"resume={path}: no such checkpoint; expected a file, or the folder of an earlier run")
    if run_folder.inspect(folder) == "absent":
        raise CheckpointError(f"resume={folder}: no run there; expected {RESUME_AUTO} or the folder of an earlier run")
    resolved = stored_config(folder, overrides)
    set_metrics(resolved, overrides)
    about_trackers = [each for each in overrides if each.key_or_group.partition(".")[0] == _TRACKERS]
    chosen_anew = any(each.key_or_group == _TRACKERS for each in about_trackers)
    if chosen_anew:
        resolved[_TRACKERS] = composed([str(each.input_line) for each in about_trackers])[_TRACKERS]
    for override in overrides:
        if (
            override.key_or_group != "resume"
            and not is_about_metrics(override)
            and not (chosen_anew and override in about_trackers)
        ):
            set_value(resolved, override)
    check_destinations(resolved, folder / "config.yaml", [each.key_or_group for each in overrides])
    resolved["resume"] = str(path) if of_file else RESUME_AUTO
    config = schema.parse(resolved)
    job = standing_job(config, folder)
    if job is not None and not job.measures_only and job.config.threads != config.threads:
        own = _shown(job.config.resolved, _THREADS)
        raise ConfigError(
            f"threads={config.threads}: {folder} is resumed with its own number, {own}, so that it ends with the same "
            "numbers; expected none to be given"
        )
    return job, folder


def is_about_metrics(override: Override) -> bool:
    """Return whether the override chooses metrics or sets their options."""
    return override.key_or_group.partition(".")[0] == _METRICS


def set_metrics(resolved: dict[str, object], overrides: Sequence[Override]) -> None:
    """Set the section ``metrics`` of a stored config.

    An override ``metrics=...`` replaces the choice of metrics; without one, the overrides change single values.

    Raises:
        ConfigError: a metric or an option does not exist, or an override is a sweep.
    """
    given = [each for each in overrides if is_about_metrics(each)]
    if not any(override.key_or_group == _METRICS for override in given):
        for override in given:
            set_value(resolved, override)
        return
    section, own = composed([_as_list(override) for override in given])[_METRICS], resolved.get(_METRICS)
    assert isinstance(section, Mapping)
    names = {override.key_or_group.removeprefix(f"{_METRICS}.") for override in given}
    settings = own if isinstance(own, Mapping) else {}
    kept = {key: settings[key] for key in schema.METRICS_SETTINGS if key in settings and key not in names}
    resolved[_METRICS] = {**section, **kept}


def _as_list(override: Override) -> str:
    """Convert ``metrics=mig,dci``, which Hydra parses as a sweep, to a list; return any other override unchanged.

    Raises:
        ConfigError: the override is another sweep.
    """
    text, value = str(override.input_line), override.value()
    if isinstance(value, ChoiceSweep) and value.simple_form and override.key_or_group == _METRICS:
        return f"{_METRICS}=[{','.join(map(str, value.list))}]"
    if override.is_sweep_override():
        raise ConfigError(f"{text}: expected a single value; the metrics of several runs are those of one command each")
    return text


def stored_config(folder: Path, overrides: Sequence[Override]) -> dict[str, object]:
    """Read the config of a run folder, restricted to what this command line allows, without applying the overrides.

    Raises:
        CheckpointError: the config cannot be read.
        ConfigError: it names a function that is neither installed, nor named by an override, nor in a trusted module.
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
    return {**deepcopy(run_folder.load_config(folder, Allowed.by(trust, typed))), _TRUST: []}


def set_value(resolved: dict[str, object], override: Override) -> None:
    """Set an override's value in a resolved config; ``data_root`` also sets ``dataset.root``, if there is one.

    Raises:
        ConfigError: the key does not exist, or the override is not a plain value.
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
        raise ConfigError(cannot_set(given, path, resolved))
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
    old, new = (dict(leaves(completed(each))) for each in (stored, asked))
    # A folder of an earlier version also lacks later keys of its choices, such as dataset.pairs; null means the same.
    same = {key for key in {**old, **new} if old.get(key) == new.get(key) and new.get(key, old.get(key)) is None}
    same |= {key for key in old.keys() & new.keys() if old[key] == new[key]}
    changed = [key for key in {**old, **new} if key not in same and not _may_change(key)]
    if not changed:
        return
    changed.sort(key=lambda key: not key.startswith("choices."))
    listed = [f"{key.removeprefix('choices.')}: {_shown(old, key)} → {_shown(new, key)}" for key in changed]
    more = len(listed) - _SHOWN_DIFFERENCES
    raise ConfigError(
        f"{folder} holds a run with other values ({', '.join(listed[:_SHOWN_DIFFERENCES])}"
        f"{f' and {more} more' if more > 0 else ''}); expected the same, but for {', '.join(MAY_CHANGE[1:])}, "
        f"{_METRICS} and {_TRACKERS}"
    )


def _may_change(key: str) -> bool:
    return key in (*MAY_CHANGE, _THREADS) or key.partition(".")[0] in (_TRACKERS, _METRICS)


def _with_threads(config: Config, threads: int | None) -> Config:
    return replace(config, threads=threads, resolved={**config.resolved, _THREADS: threads})


def _is_measured(stored: Config, asked: Config, folder: Path) -> bool:
    """Return whether a finished run has the figures and all metrics of the config, with the same options."""
    if stored.metrics.exact_limit != asked.metrics.exact_limit or asked.metrics.figures > stored.metrics.figures:
        return False
    measured = run_folder.load_metrics(folder).get("measured")
    known = measured if isinstance(measured, Mapping) else {}
    return all(known.get(name) == options for name, options in asked.metrics.options.items())


def _is_extended(stored: Config, asked: Config, folder: Path) -> bool:
    """Return whether the run gets more steps, or may get more if one config has steps and the other epochs.

    Raises:
        ConfigError: the run would get fewer steps or epochs.
    """
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

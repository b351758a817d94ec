"""Searches: sweepers that choose each job's values by the metric of earlier jobs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig, ListConfig

from hfvae_runner.config import stored
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.launch.composition import leaves
from hfvae_runner.storage import run_folder

_RESULT = "optimization_results.yaml"


class NoSuchMetric(ConfigError):
    """The metric does not exist in any job of the search."""


def check(hydra: DictConfig, path: str | None) -> None:
    """Check that the sweeper can search by ``optimized_metric``.

    Args:
        hydra: Hydra's own node of the config.
        path: the value of ``optimized_metric``.

    Raises:
        ConfigError: the sweeper cannot search by it.
    """
    if path is None:
        raise ConfigError("optimized_metric=null, but the sweeper searches; expected what it is to be, as in test.elbo")
    direction = hydra.sweeper.get("direction")
    if isinstance(direction, ListConfig):
        raise ConfigError(f"hydra.sweeper.direction={direction}: expected minimize or maximize, of the one metric")


def optimized(folder: Path, path: str) -> float:
    """Return the number at a dotted path such as ``test.elbo`` in a finished run's metrics.json.

    Raises:
        NoSuchMetric: the path does not exist.
        ConfigError: the value is not a number.
        CheckpointError: metrics.json cannot be read.
    """
    metrics = run_folder.load_metrics(folder)
    values = dict(leaves(metrics))
    if path not in values:
        raise NoSuchMetric(f"optimized_metric={path}: not in {folder / 'metrics.json'}{nearest(path, values)}")
    value = values[path]
    if isinstance(value, bool) or not isinstance(value, int | float):
        why = values.get(f"{path}_why")
        shown = "null" if value is None else repr(value)
        raise ConfigError(
            f"optimized_metric={path} is {shown} in {folder / 'metrics.json'}"
            f"{f' ({why})' if why else ''}; expected a number"
        )
    return float(value)


def samples(overrides: Sequence[Override]) -> list[list[str]]:
    """Return sample jobs of a search: its first values, and variants with one value at its other end or choice."""
    values = {override.get_key_element(): _values(override) for override in overrides}
    first = {key: choices[0] for key, choices in values.items()}
    jobs = [first, *({**first, key: other} for key, choices in values.items() for other in choices[1:])]
    return [[f"{key}={value}" for key, value in job.items()] for job in jobs]


def best(sweep: Path) -> str | None:
    """Describe the result of the search in the sweep's folder in one line; None if there is none."""
    path = sweep / _RESULT
    if not path.is_file():
        return None
    found: Any = stored.read(path)
    values = " ".join(f"{key}={value}" for key, value in found["best_params"].items())
    return f"best of the search: {found['best_value']:.6g} with {values}; {path}"


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if override.is_discrete_sweep():
        values = list(override.sweep_string_iterator())
        return [values[0], values[-1]] if override.is_range_sweep() else values
    interval = override.value()
    assert isinstance(interval, IntervalSweep)
    return [str(interval.start), str(interval.end)]

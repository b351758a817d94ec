"""Import the metrics that a config chooses, and compute their results."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial

from hfvae_runner.config.targets import check_kind, returned_by, signed
from hfvae_runner.config.validation import held
from hfvae_runner.errors import ConfigError
from hfvae_runner.metrics._subject import Metric, Subject


def metric_of(name: str, spec: Mapping[str, object]) -> Metric:
    """Import the function that ``_target_`` names, and bind its options.

    Raises:
        ConfigError: the function does not exist, is not a metric, or takes other options.
    """
    where = f"metrics.{name}"
    function, options, taken = signed(where, where, spec, ("subject",))
    if taken != ["subject"]:
        raise ConfigError(f"{where}: {spec['_target_']} takes no subject; expected a metric")
    # An argument called subject identifies a metric. Without one, or with a return annotation, check the return type.
    if "subject" not in inspect.signature(function).parameters or returned_by(function) is not None:
        check_kind(where, spec, function, Mapping)
    return partial(function, **held(function, options, f"{where}."))


def measured(metrics: Mapping[str, Metric], subject: Callable[[str], Subject]) -> dict[str, object]:
    """Return the results of all metrics, in one mapping.

    Args:
        metrics: by name, with their options bound.
        subject: returns the subject of the metric with this name.

    Raises:
        RunnerError: a metric cannot be computed from these data with these options.
    """
    found: dict[str, object] = {}
    for name, metric in metrics.items():
        result = metric(subject(name))
        assert not result.keys() & found.keys(), f"{name}: {result.keys() & found.keys()} stand there already"
        found |= result
    return found

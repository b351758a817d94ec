"""Metrics of an encoded representation: one metric per file, a function of a ``Subject`` (see ``_subject``).

A metric is ``def NAME(subject: Subject, *, option: ..., ...) -> Result``. conf/metrics/NAME.yaml names it as _target_
and sets every option. Its mathematics are pure functions of plain arrays in the same file. This folder may import
`config`.
"""

from hfvae_runner.metrics._choice import measured, metric_of
from hfvae_runner.metrics._subject import (
    NO_DENSITY,
    UNKNOWN,
    Categories,
    Metric,
    Representation,
    Result,
    Subject,
    Truth,
    undefined,
)

__all__ = [
    "NO_DENSITY",
    "UNKNOWN",
    "Categories",
    "Metric",
    "Representation",
    "Result",
    "Subject",
    "Truth",
    "measured",
    "metric_of",
    "undefined",
]

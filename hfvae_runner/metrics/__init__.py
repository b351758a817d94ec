"""What an encoded representation is worth: one metric per file, a function of what ``_subject`` describes.

A metric is ``def NAME(subject: Subject, *, option: ..., ...) -> Result``; conf/metrics/NAME.yaml names it as _target_
and gives every option. Its mathematics are pure functions of plain arrays beside it. May import `config`.
"""

from hfvae_runner.metrics._choice import measured, metric_of
from hfvae_runner.metrics._subject import UNKNOWN, Categories, Metric, Representation, Result, Subject, Truth, undefined

__all__ = [
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

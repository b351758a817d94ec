"""The errors that are reported to users, each with its exit code."""

from collections.abc import Iterable
from difflib import get_close_matches


class RunnerError(Exception):
    """A failure that is explained in one line, without a traceback.

    It has a single argument, so that an instance can be pickled between the processes of a sweep.
    """

    exit_code = 2


class ConfigError(RunnerError):
    """The config names something that does not exist, or its parts do not fit together."""


class DataError(RunnerError):
    """A data file is missing, or differs from the published one."""


class CheckpointError(RunnerError):
    """A checkpoint or a run folder cannot be used as requested."""


class FolderInUse(CheckpointError):
    """Another process uses the run folder; nothing in it was changed."""


class StorageError(RunnerError):
    """A file of the run folder could not be written; its former content is unchanged."""


class Diverged(RunnerError):
    """A term of the objective was not finite during training."""

    exit_code = 3


def nearest(name: object, choices: Iterable[str]) -> str:
    """Return ``; did you mean 'beta'?`` with the valid name closest to the given one, or an empty string."""
    matches = get_close_matches(str(name), list(choices), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""

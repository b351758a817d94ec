"""The errors that a user may meet, each with the exit code of the command line's contract."""

from collections.abc import Iterable
from difflib import get_close_matches


class RunnerError(Exception):
    """A failure that is explained in one line and needs no traceback.

    One argument only, so that an instance survives pickling between the processes of a sweep.
    """

    exit_code = 2


class ConfigError(RunnerError):
    """The configuration asks for something that does not exist or does not fit together."""


class DataError(RunnerError):
    """A data file is missing, or is not what its publisher wrote."""


class CheckpointError(RunnerError):
    """A checkpoint or a run folder cannot be used as asked."""


class FolderInUse(CheckpointError):
    """Another process is at work in the run folder; nothing in there was touched."""


class StorageError(RunnerError):
    """What a run leaves could not be written; what was there before is whole."""


class Diverged(RunnerError):
    """A term of the objective was not finite during training."""

    exit_code = 3


def nearest(name: object, choices: Iterable[str]) -> str:
    """The valid name closest to the one given, as the end of a message: ``; did you mean 'beta'?``, or nothing."""
    matches = get_close_matches(str(name), list(choices), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""

"""The command line of the commands that take one run: RUN and KEY=VALUE arguments, one-line errors, an exit code."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, RunnerError, nearest


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


@dataclass(frozen=True)
class RunCommand:
    """A command on one run.

    Attributes:
        name: of the command's module, such as ``encode``.
        description: the text of ``--help``.
        keys: the names that ``KEY=VALUE`` may set.
        usage: the arguments that the command needs, for messages, such as ``RUN out=FILE``.
        act: does the work. It takes the run and the values of the keys that were given, and returns the path to print.
    """

    name: str
    description: str
    keys: tuple[str, ...]
    usage: str
    act: Callable[[str, dict[str, str]], Path]

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run the command line (``sys.argv`` by default) and return its exit code: 2 where something is not usable."""
        return exit_code_of(lambda: self._run(list(sys.argv[1:] if argv is None else argv)))

    def _run(self, arguments: list[str]) -> int:
        parser = _Parser(
            prog=f"python -m hfvae_runner.{self.name}",
            description=self.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("arguments", nargs="+", metavar="RUN or KEY=VALUE")
        try:
            try:
                given = parser.parse_args(arguments).arguments
            except ConfigError as error:
                raise ConfigError(f"{error}; expected {self.usage}") from None
            print(self.act(*self._parsed(given)))
        except RunnerError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        except SystemExit as end:  # --help
            return int(end.code or 0)
        return 0

    def _parsed(self, arguments: Sequence[str]) -> tuple[str, dict[str, str]]:
        """Return the run, and the values of the keys. The path of a run may contain an equals sign after a slash."""
        runs, given = [], {}
        for argument in arguments:
            key, separator, value = argument.partition("=")
            if separator and key in self.keys:
                given[key] = value
            elif separator and "/" not in key:
                raise ConfigError(f"{argument}: expected one of {', '.join(self.keys)}{nearest(key, self.keys)}")
            else:
                runs.append(argument)
        if len(runs) != 1:
            raise ConfigError(f"{' '.join(runs) or 'no run'}: expected one run folder or checkpoint")
        return runs[0], given

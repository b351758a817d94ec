"""The command: its arguments, and the page that it writes."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hfvae_runner.config.stored import listed_modules
from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, RunnerError, nearest
from hfvae_runner.storage.files import write_atomic
from hfvae_runner.storage.run_folder import EXPLORER

LIMIT = 24
"""Largest decoder in the page, in MB of weights."""
_KEYS = ("out", "limit", "data_root", "device", "trust")
_DESCRIPTION = """\
Write a page on which a run's latents are moved and the decoded image follows.

  RUN            a run folder, or one of its checkpoints
  out=FILE       the page; by default RUN/explore.html
  limit=24       the largest decoder in the page, in MB; a larger one gives
                 precomputed pictures of ten examples instead
  data_root=DIR  the folder of the data set's files
  device=NAME    where the model runs
  trust=[NAME]   modules whose functions the run's config may name

The page is one file without external resources. The decoder runs in it."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; expected RUN")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code: 2 where something is not usable."""
    return exit_code_of(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(arguments: list[str]) -> int:
    parser = _Parser(
        prog="python -m hfvae_runner.explore",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("arguments", nargs="+", metavar="RUN or KEY=VALUE")
    try:
        run, given = _parsed(parser.parse_args(arguments).arguments)
        trust = listed_modules(given.pop("trust", None))
        limit = _megabytes(given.pop("limit", str(LIMIT)))
        print(explore(run, limit=limit, trust=trust, **given))
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as end:  # --help
        return int(end.code or 0)
    return 0


def explore(
    path: str | Path,
    out: str | Path | None = None,
    *,
    limit: float = LIMIT,
    data_root: str | None = None,
    device: str = "auto",
    trust: Sequence[str] = (),
) -> Path:
    """Write the page of a run on images.

    Args:
        path: a run folder, or one of its checkpoints.
        out: the page; None for ``explore.html`` in the run folder, to which a report links.
        limit: the largest decoder in the page, in MB.
        data_root: the folder of the data set's files; None for the run's own.
        device, trust: as for ``hfvae_runner.load``.

    Returns:
        The page.

    Raises:
        RunnerError: the run or its data are not usable, the data are not images, or the page cannot be written.
    """
    if out is not None and Path(out).suffix != ".html":
        raise ConfigError(f"out={out}: expected a name that ends in .html")
    # torch takes seconds to import, and a mistake in the arguments needs none of it.
    from hfvae_runner.api.loading import load
    from hfvae_runner.explore.content import content_of
    from hfvae_runner.explore.page import page

    run = load(path, device, trust)
    place = run.folder / EXPLORER if out is None else Path(out)
    write_atomic(place, page(content_of(run, data_root, limit)))
    return place


def _parsed(arguments: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the run, and the values of the keys."""
    runs, given = [], {}
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if separator and key in _KEYS:
            given[key] = value
        elif separator and "/" not in key:
            raise ConfigError(f"{argument}: expected one of {', '.join(_KEYS)}{nearest(key, _KEYS)}")
        else:
            runs.append(argument)
    if len(runs) != 1:
        raise ConfigError(f"{' '.join(runs) or 'no run'}: expected one run folder or checkpoint")
    return runs[0], given


def _megabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigError(f"limit={text}: expected a number of MB from 0 on")
    return value

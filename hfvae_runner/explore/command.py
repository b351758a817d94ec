"""The command: its arguments, and the page that it writes."""

from collections.abc import Sequence
from pathlib import Path

from hfvae_runner.api.command_line import RunCommand
from hfvae_runner.config.stored import listed_modules
from hfvae_runner.errors import ConfigError
from hfvae_runner.storage.files import write_atomic
from hfvae_runner.storage.run_folder import EXPLORER

LIMIT = 24
"""Largest decoder in the page, in MB of weights."""
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code: 2 where something is not usable."""
    keys = ("out", "limit", "data_root", "device", "trust")
    return RunCommand("explore", _DESCRIPTION, keys, "RUN", _explore).main(argv)


def _explore(run: str, given: dict[str, str]) -> Path:
    trust, limit = listed_modules(given.pop("trust", None)), _megabytes(given.pop("limit", str(LIMIT)))
    return explore(run, limit=limit, trust=trust, **given)


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


def _megabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigError(f"limit={text}: expected a number of MB from 0 on")
    return value

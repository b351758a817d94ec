"""``python -m hfvae_runner.encode RUN out=FILE [split=train,test] [data=FILE]``: writes the codes of a run's data."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hfvae_runner.api.command_line import RunCommand
from hfvae_runner.config.stored import listed_modules
from hfvae_runner.errors import ConfigError

_DESCRIPTION = """\
Write the codes of a run's data, or of other data.

  RUN            a run folder, or one of its checkpoints
  out=FILE       a name that ends in .npz, .csv or .parquet
  split=...      which splits; by default train,test
  data=FILE.npz  encodes its images or vectors in place of the run's own splits
  data_root=DIR  the folder of the data set's files
  device=NAME    where the model runs
  trust=[NAME]   modules whose functions the run's config may name"""


def _encode(run: str, given: dict[str, str]) -> Path:
    if "out" not in given:
        raise ConfigError("out is missing; expected out=FILE, a name that ends in .npz, .csv or .parquet")
    if "data" in given and "split" in given:
        raise ConfigError(f"split={given['split']} with data={given['data']}: expected one of them")
    splits, trust = given.pop("split", "train,test").split(","), listed_modules(given.pop("trust", None))
    # torch takes seconds to import, and a mistake in the arguments needs none of it.
    from hfvae_runner.api.encoding import encode

    return encode(run, given.pop("out"), split=splits, trust=trust, **given)


_COMMAND = RunCommand(
    "encode", _DESCRIPTION, ("out", "split", "data", "data_root", "device", "trust"), "RUN out=FILE", _encode
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code: 2 where something is not usable."""
    return _COMMAND.main(argv)


if __name__ == "__main__":
    sys.exit(main())

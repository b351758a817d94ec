"""``python -m hfvae_runner.encode RUN out=FILE [split=train,test] [data=FILE]``: writes the codes of a run's data.

RUN is a run folder or one of its checkpoints; FILE ends in .npz, .csv or .parquet. data=FILE.npz encodes its images or
vectors in place of the run's own splits. data_root=FOLDER says where the data set's files are, device=NAME where the
model runs. trust=[MODULE] allows functions of one's own in the run's config.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from hfvae_runner.config.stored import listed_modules
from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, RunnerError, nearest

_KEYS = ("out", "split", "data", "data_root", "device", "trust")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; expected RUN out=FILE")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code: 2 where something is not usable."""
    return exit_code_of(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(arguments: list[str]) -> int:
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = _Parser(
        prog="python -m hfvae_runner.encode",
        description=description,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("arguments", nargs="+", metavar="RUN or KEY=VALUE")
    try:
        run, given = _parsed(parser.parse_args(arguments).arguments)
        # torch takes seconds to import, and a mistake in the arguments needs none of it.
        from hfvae_runner.api.encoding import encode

        splits, trust = given.pop("split", "train,test").split(","), listed_modules(given.pop("trust", None))
        print(encode(run, given.pop("out"), split=splits, trust=trust, **given))
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as end:  # --help
        return int(end.code or 0)
    return 0


def _parsed(arguments: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The run, and the values of the keys."""
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
    if "out" not in given:
        raise ConfigError("out is missing; expected out=FILE, a name that ends in .npz, .csv or .parquet")
    if "data" in given and "split" in given:
        raise ConfigError(f"split={given['split']} with data={given['data']}: expected one of them")
    return runs[0], given


if __name__ == "__main__":
    sys.exit(main())

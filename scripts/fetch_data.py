"""Fetches the files of data sets from their publishers: ``python scripts/fetch_data.py NAME ...``.

A data set that knows where its files come from says so in ``FILES`` of its module.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

# The package of this checkout, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hfvae_runner.console import exit_code_of
from hfvae_runner.data._fetch import ensure
from hfvae_runner.errors import ConfigError, RunnerError, nearest
from hfvae_runner.launch.composition import config_folder


def names() -> list[str]:
    """Every data set, by its name on the command line."""
    return sorted(file.stem for file in (config_folder() / "dataset").glob("*.yaml"))


def fetch(name: str, root: Path) -> list[Path]:
    """Where a data set's files are, fetched if need be; none for a data set that is made on the spot."""
    if name not in names():
        raise ConfigError(
            f"there is no data set {name!r}; expected some of {', '.join(names())}{nearest(name, names())}"
        )
    config = yaml.safe_load((config_folder() / "dataset" / f"{name}.yaml").read_text(encoding="utf-8"))
    module = importlib.import_module(config["dataset"]["_target_"].rpartition(".")[0])
    return ensure(root, getattr(module, "FILES", ()), dataset=name, download=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetches each of the data sets named; 2 if one of them cannot be had."""
    parser = argparse.ArgumentParser(description="Fetch data sets from their publishers.")
    parser.add_argument("names", nargs="+", metavar="NAME", help=", ".join(names()))
    parser.add_argument(
        "--data-root",
        type=Path,
        default=Path(os.environ.get("HFVAE_DATA", "data")),
        metavar="FOLDER",
        help="where the files belong; by default $HFVAE_DATA, else data",
    )
    chosen = parser.parse_args(arguments)
    code = 0
    for name in chosen.names:
        try:
            found = fetch(name, chosen.data_root)
        except RunnerError as error:
            print(f"error: {error}", file=sys.stderr)
            code = error.exit_code
            continue
        print("\n".join(map(str, found)) or f"{name} needs no files")
    return code


if __name__ == "__main__":
    sys.exit(exit_code_of(main))

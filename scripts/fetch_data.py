"""Fetches the files of data sets from their publishers: ``python scripts/fetch_data.py NAME ...``.

The files and their addresses are in ``FILES`` of a data set's module. ``NAME=VERSION``, as in ``mpi3d=toy``, fetches
one of the ``VERSIONS`` of a set that has several.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

# Use this checkout's package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hfvae_runner.console import exit_code_of
from hfvae_runner.data._fetch import ensure
from hfvae_runner.errors import ConfigError, RunnerError, nearest
from hfvae_runner.launch.composition import config_folder


def names() -> list[str]:
    """Return the names of all data sets on the command line."""
    return sorted(file.stem for file in (config_folder() / "dataset").glob("*.yaml"))


def fetch(name: str, root: Path) -> list[Path]:
    """Fetch the missing files of a data set, or of one version of it, and return the paths of all; none for a generated
    data set.

    Raises:
        RunnerError: the name or version is unknown, or a file cannot be fetched.
    """
    name, _, version = name.partition("=")
    if name not in names():
        raise ConfigError(
            f"there is no data set {name!r}; expected some of {', '.join(names())}{nearest(name, names())}"
        )
    config = yaml.safe_load((config_folder() / "dataset" / f"{name}.yaml").read_text(encoding="utf-8"))
    module = importlib.import_module(config["dataset"]["_target_"].rpartition(".")[0])
    if not version:
        return ensure(root, getattr(module, "FILES", ()), dataset=name, download=True)
    versions = getattr(module, "VERSIONS", {})
    if version not in versions:
        expected = f"expected one of {', '.join(versions)}" if versions else f"expected {name} alone"
        raise ConfigError(f"there is no version {version!r} of {name}; {expected}{nearest(version, versions)}")
    return ensure(root, [versions[version]], dataset=f"{name}={version}", download=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch each of the named data sets; return 0, or 2 if one of them cannot be fetched."""
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

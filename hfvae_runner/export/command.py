"""The command: its arguments, and a folder that appears whole or not at all."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from hfvae_runner.config.stored import listed_modules
from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, RunnerError, nearest
from hfvae_runner.storage.files import atomic_folder, write_atomic

FORMATS = ("safetensors", "onnx")
_KEYS = ("out", "format", "device", "trust")
_DESCRIPTION = """\
Write a run's model as files that other programs load.

  RUN           a run folder, or one of its checkpoints
  out=FOLDER    a new folder
  format=...    safetensors (the default), onnx, or both: format=onnx,safetensors
  device=NAME   where the run is loaded
  trust=[NAME]  modules whose functions the run's config may name

safetensors: model.safetensors with config.json, which hfvae_runner.load reads
back. onnx: encoder.onnx and decoder.onnx, for batches of any size, compared
with torch before the folder appears. README.md is a model card."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; expected RUN out=FOLDER")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code: 2 where something is not usable."""
    return exit_code_of(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(arguments: list[str]) -> int:
    parser = _Parser(
        prog="python -m hfvae_runner.export",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("arguments", nargs="+", metavar="RUN or KEY=VALUE")
    try:
        run, out, formats, device, trust = _parsed(parser.parse_args(arguments).arguments)
        print(export(run, out, formats=formats, device=device, trust=trust))
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as end:  # --help
        return int(end.code or 0)
    return 0


def export(
    path: str | Path,
    out: str | Path,
    *,
    formats: Sequence[str] = ("safetensors",),
    device: str = "auto",
    trust: Sequence[str] = (),
) -> Path:
    """Write a run's model into a new folder.

    Args:
        path: a run folder, or one of its checkpoints.
        out: the folder; it must not exist, or be empty.
        formats: ``safetensors``, ``onnx`` or both.
        device: where the run is loaded.
        trust: modules of which the run's config may name functions.

    Returns:
        The folder.

    Raises:
        RunnerError: the run is not usable, a format's packages are missing, the exported networks compute something
            else, or the folder cannot be written.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"format={name}: expected one of {', '.join(FORMATS)}{nearest(name, FORMATS)}")
    folder = Path(out)
    _check_free(folder)
    # torch takes seconds to import, and a mistake in the arguments needs none of it.
    from hfvae_runner.api.loading import load
    from hfvae_runner.export import card, onnx_files, safetensors_files

    if "onnx" in formats:
        onnx_files.check()
    run = load(path, device, trust)
    writers: Mapping[str, Callable[..., dict[str, str]]] = {
        "safetensors": safetensors_files.write,
        "onnx": onnx_files.write,
    }
    with atomic_folder(folder) as temporary:
        files: dict[str, str] = {}
        for name in dict.fromkeys(formats):
            files |= writers[name](run, temporary)
        write_atomic(temporary / "README.md", card.card(run, files))
    return folder


def _parsed(arguments: Sequence[str]) -> tuple[str, str, list[str], str, tuple[str, ...]]:
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
    if not given.get("out"):
        raise ConfigError("out is missing; expected out=FOLDER, a new folder")
    formats, device = given.get("format", FORMATS[0]).split(","), given.get("device", "auto")
    return runs[0], given["out"], formats, device, listed_modules(given.get("trust"))


def _check_free(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise ConfigError(f"out={folder} is there already; expected a new folder")

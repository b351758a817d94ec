"""The command: its arguments, and a folder that appears whole or not at all."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hfvae_runner.api.command_line import RunCommand
from hfvae_runner.config.stored import listed_modules
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.storage.files import atomic_folder, write_atomic

FORMATS = ("safetensors", "onnx")
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code: 2 where something is not usable."""
    return RunCommand("export", _DESCRIPTION, ("out", "format", "device", "trust"), "RUN out=FOLDER", _export).main(
        argv
    )


def _export(run: str, given: dict[str, str]) -> Path:
    if not given.get("out"):
        raise ConfigError("out is missing; expected out=FOLDER, a new folder")
    formats, device = given.get("format", FORMATS[0]).split(","), given.get("device", "auto")
    return export(run, given["out"], formats=formats, device=device, trust=listed_modules(given.get("trust")))


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


def _check_free(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise ConfigError(f"out={folder} is there already; expected a new folder")

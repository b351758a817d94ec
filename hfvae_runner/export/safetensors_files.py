"""Parameters as ``model.safetensors``, with the ``config.json`` that ``hfvae_runner.load`` reads them back by."""

from pathlib import Path

from safetensors.torch import save

from hfvae_runner import __version__
from hfvae_runner.api.loading import Run
from hfvae_runner.runs.loading import EXPORTED, EXPORTED_CONFIG, EXPORTED_SCHEMA
from hfvae_runner.storage.files import strict_json, write_atomic


def write(run: Run, folder: Path) -> dict[str, str]:
    """Write both files into a folder; return what each holds, by its name."""
    # Copied, since the format takes neither shared storages nor other memory layouts.
    parameters = {name: value.detach().cpu().contiguous().clone() for name, value in run.model.state_dict().items()}
    # As bytes, since the library's own file can only be read by its owner.
    write_atomic(folder / EXPORTED, save(parameters, metadata={"format": "pt"}))
    content = {
        "schema": EXPORTED_SCHEMA,
        "hfvae_runner": __version__,
        "config": run.config,
        "data": run.data.to_json(),
        "step": run.step,
        "metrics": run.metrics,
    }
    write_atomic(folder / EXPORTED_CONFIG, strict_json(content, EXPORTED_CONFIG, indent=1) + "\n")
    return {
        EXPORTED: "all parameters and buffers, by their names in torch",
        EXPORTED_CONFIG: "the run's config, a description of its data, and its metrics",
    }

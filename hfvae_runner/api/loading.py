"""``hfvae_runner.load``: a run's config, results and model, and what one does with a model.

Shapes: B examples; * the shape of one example; D continuous factors; K categories; T values.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hfvae_runner.api.codes import Codes, Floats, codes_of, sample_of
from hfvae_runner.api.inputs import Given, examples
from hfvae_runner.data import Description
from hfvae_runner.errors import DataError, nearest
from hfvae_runner.latents.blocks import Sample
from hfvae_runner.models.vae import VAE
from hfvae_runner.runs.loading import LoadedModel, load_model
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.history import History

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 1024
_TRAVERSED = np.linspace(-3, 3, 11)


def load(path: str | Path, device: str = "auto", trust: Sequence[str] = ()) -> "Run":
    """Load a run, finished or not. The data set need not be at hand, and nothing in the folder is executed.

    Args:
        path: a run folder, one of its checkpoints, or a folder that ``hfvae_runner.export`` wrote as safetensors.
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        trust: modules of which the run's config may name functions.

    Raises:
        RunnerError: there is no run, it cannot be read, or the device is not there.
    """
    return Run(load_model(Path(path), device, tuple(trust)))


class Run:
    """A trained run.

    Attributes:
        folder: of the run.
        checkpoint: the file that the parameters are from.
        model: the torch module, in evaluation mode; gradients flow through it.
        data: what the model was trained on: shape and kind of an example, names of the labels.
        step: the optimiser steps that its parameters have behind them.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.folder: Path = loaded.folder
        self.checkpoint: Path = loaded.checkpoint
        self.model: VAE = loaded.model
        self.data: Description = loaded.data
        self.step: int = loaded.step
        self._config = loaded.config
        self._metrics = loaded.metrics

    def __repr__(self) -> str:
        choices = " ".join(f"{group}={choice}" for group, choice in self._config.choices.items())
        return f"Run({str(self.folder)!r}: {choices})"

    @property
    def config(self) -> dict[str, object]:
        """The whole config, resolved."""
        return dict(self._config.resolved)

    @property
    def knobs(self) -> dict[str, object]:
        """The objective's own values, such as ``beta``."""
        return dict(self._config.knobs)

    @cached_property
    def metrics(self) -> dict[str, object] | None:
        """The content of metrics.json; None where the run has not finished, or for a checkpoint of an earlier step."""
        if self._metrics is not None:
            return self._metrics
        if run_folder.inspect(self.folder) != "finished":
            return None
        found = run_folder.load_metrics(self.folder)
        run = found.get("run")
        return found if isinstance(run, Mapping) and run.get("steps") == self.step else None

    @cached_property
    def history(self) -> "pd.DataFrame":
        """history.csv: a row per logging step."""
        return History(self.folder / "history.csv").read()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def encode(self, given: Given, *, seed: int = 0, batch_size: int = _BATCH) -> Codes:
        """Encode examples.

        Args:
            given: images [B, C, H, W], [B, H, W, C] or [B, H, W], uint8 or floats from 0 to 1, or vectors [B, D]; a
                single one may lack the first axis. NumPy or torch.
            seed: of the draws.
            batch_size: examples at once; the draws do not depend on it.

        Raises:
            DataError: the examples are not what the model takes.
        """
        x, _ = examples(given, self.data)
        latents = self.model.latents
        noise = latents.noise(len(x), torch.Generator(self.device).manual_seed(seed))
        with torch.no_grad():
            parts = [self.model.encode(x[part].to(self.device)) for part in _parts(len(x), batch_size)]
            posterior = [torch.cat(block) for block in zip(*parts, strict=True)]
            return codes_of(latents, posterior, latents.sample(posterior, noise, hard=True))

    def decode(
        self,
        codes: Codes | Floats,
        categories: Mapping[str, NDArray[np.integer]] | None = None,
        *,
        use: Literal["mean", "sample"] = "mean",
        batch_size: int = _BATCH,
    ) -> Floats:
        """Decode codes to E[x|z], ``[B, *]``.

        Args:
            codes: of ``encode``, or the continuous factors' values alone, [B, D].
            categories: of each discrete variable, [B]; with ``Codes`` they replace the codes' own.
            use: of ``Codes`` the means and most probable categories, or the draws.
            batch_size: examples at once.

        Raises:
            DataError: the codes do not fit the model.
        """
        if isinstance(codes, Codes):
            drawn = use == "sample"
            own = codes.categories if drawn else {name: p.argmax(1) for name, p in codes.probabilities.items()}
            values, chosen = codes.sample if drawn else codes.mean, {**own, **(categories or {})}
        else:
            values, chosen = codes, dict(categories or {})
        return self._decoded(sample_of(self.model.latents, values, chosen, self.device), batch_size)

    def sample(self, n: int, *, seed: int = 0, batch_size: int = _BATCH) -> Floats:
        """Decode n draws from the prior to E[x|z], ``[n, *]``.

        Quantised factors are drawn uniformly from their codebooks.
        """
        latents = self.model.latents
        with torch.no_grad():
            noise = latents.prior_noise(n, torch.Generator(self.device).manual_seed(seed))
            return self._decoded(latents.prior_sample(noise, hard=True), batch_size)

    def traverse(self, example: Given, name: str, values: Sequence[float] | None = None) -> Floats:
        """Decode one example's code with one latent variable at several values, ``[T, *]``.

        Args:
            example: a single one.
            name: of a continuous factor, such as ``style[3]``, or of a discrete variable. A quantised factor, such as
                ``z[3]``, is one: its categories are the places of the values in its codebook.
            values: of the factor, by default eleven from −3 to 3; of a discrete variable its categories, by default
                all of them.

        Raises:
            DataError: the example is not a single one that the model takes, or there is no such variable or category.
        """
        x, _ = examples(example, self.data)
        if len(x) != 1:
            raise DataError(f"{len(x)} examples; expected a single one")
        codes = self.encode(x)
        known = (*codes.names, *codes.probabilities)
        if name not in known:
            raise DataError(
                f"{name}: no such latent variable; expected one of {', '.join(known)}{nearest(name, known)}"
            )
        chosen = {each: p.argmax(1) for each, p in codes.probabilities.items()}
        if name in chosen:
            every = np.arange(codes.probabilities[name].shape[1]) if values is None else np.asarray(values)
            repeated = {each: np.repeat(category, len(every)) for each, category in chosen.items()}
            return self.decode(np.repeat(codes.mean, len(every), axis=0), {**repeated, name: every})
        column = _TRAVERSED if values is None else np.asarray(values, np.float32)
        varied = np.repeat(codes.mean, len(column), axis=0)
        varied[:, codes.names.index(name)] = column
        return self.decode(varied, {each: np.repeat(category, len(column)) for each, category in chosen.items()})

    def _decoded(self, sample: Sample, batch_size: int) -> Floats:
        """E[x|z] of a sample, [B, *]."""
        code = self.model.latents.code(sample)
        with torch.no_grad():
            images: list[Tensor] = [
                self.model.likelihood.mean(self.model.decode(code[part])).float().cpu()
                for part in _parts(len(code), batch_size)
            ]
        return torch.cat(images).numpy()


def _parts(rows: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` rows; an empty one of no rows."""
    for start in range(0, max(rows, 1), size):
        yield slice(start, start + size)

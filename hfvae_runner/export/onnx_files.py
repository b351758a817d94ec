"""Encoder and decoder as ONNX files, checked against torch by onnxruntime.

Shapes: B batch; * the shape of one example; D, K a block's factors or categories; C the columns of the code.
"""

import os
import warnings
from collections.abc import Sequence
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hfvae_runner.api.loading import Run
from hfvae_runner.errors import ConfigError, RunnerError
from hfvae_runner.latents.blocks import QuantisedBlock
from hfvae_runner.models.linear import Linear
from hfvae_runner.models.vae import VAE

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
TOLERANCE = 1e-4
"""The largest difference from torch, relative to the largest value of an output or 1, whichever is more."""
_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_SIZES = (1, 5)
"""Of the batches that are compared; the files are made with another."""
_EXAMPLES = 3


class _Encoder(nn.Module):
    """x [B, *] -> each block's posterior.

    It is the mean and scale of a normal block, [B, D] each; the probabilities of a discrete one, [B, K]; the values of
    a quantised one, [B, D].
    """

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs: list[Tensor] = []
        for block, parameters in zip(self.model.latents.blocks, self.model.encode(x), strict=True):
            if block.discrete:
                outputs.append(torch.softmax(parameters, dim=1))
            elif isinstance(block, QuantisedBlock):
                outputs.append(block.nearest(parameters))
            else:
                mean, log_scale = parameters.chunk(2, dim=1)
                outputs += [mean, log_scale.exp()]
        return tuple(outputs)


class _Decoder(nn.Module):
    """code [B, C] -> E[x|z], [B, *]. Of a continuous factor it takes z itself, as the encoder's file returns it."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, code: Tensor) -> Tensor:
        latents = self.model.latents
        columns = [
            code[:, own] if block.discrete else block.code(code[:, own])
            for block, own in zip(latents.blocks, latents.code_slices(), strict=True)
        ]
        return self.model.likelihood.mean(self.model.decode(torch.cat(columns, dim=1)))


def check() -> None:
    """Raise ConfigError where the packages that ONNX files need are not installed."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigError(f"format=onnx needs {', '.join(missing)}; expected pip install 'hfvae_runner[export]'")


def write(run: Run, folder: Path) -> dict[str, str]:
    """Write both files into a folder.

    Returns:
        What each file holds, by its name.

    Raises:
        RunnerError: torch cannot export the networks, or onnxruntime computes something else.
    """
    check()
    model = _plain(run.model)
    names = _outputs(model)
    x = _examples(run, _EXAMPLES)
    code = torch.zeros(_EXAMPLES, model.latents.n_code)
    _export(_Encoder(model), x, "x", names, folder / ENCODER)
    _export(_Decoder(model), code, "code", ["mean"], folder / DECODER)
    differences = [
        _compare(_Encoder(model), folder / ENCODER, [_examples(run, size) for size in _SIZES]),
        _compare(_Decoder(model), folder / DECODER, [_codes(model, size) for size in _SIZES]),
    ]
    blocks = " ".join(block.name for block in model.latents.blocks)
    shape, outputs = ", ".join(map(str, run.data.input_shape)), ", ".join(f"`{each}`" for each in names)
    return {
        ENCODER: f"`x` [B, {shape}] to {outputs}; both differ from torch by at most {max(differences):.1e}",
        DECODER: f"`code` [B, {model.latents.n_code}] to `mean`; the code is the blocks side by side ({blocks}), a "
        "category as a one-hot vector",
    }


def _plain(model: VAE) -> VAE:
    """A copy on the CPU whose linear layers are torch's own: which product is faster depends on the batch's size."""
    copied = deepcopy(model).cpu().eval()
    for module in copied.modules():
        if isinstance(module, Linear):
            module.__class__ = nn.Linear  # type: ignore[assignment]
    return copied


def _outputs(model: VAE) -> list[str]:
    names: list[str] = []
    for block in model.latents.blocks:
        if isinstance(block, QuantisedBlock):
            names.append(f"{block.name}_value")
        else:
            parts = ["probabilities"] if block.discrete else ["mean", "scale"]
            names += [f"{block.name}_{part}" for part in parts]
    return names


def _export(module: nn.Module, example: Tensor, name: str, outputs: Sequence[str], path: Path) -> None:
    try:
        # torch's exporter warns about its own use of torch.
        with warnings.catch_warnings(action="ignore"):
            program = torch.onnx.export(
                module.eval(),
                (example,),
                input_names=[name],
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # whatever the exporter meets in a network that it does not know
        what = " ".join(str(error).split())[:200]
        raise RunnerError(f"torch cannot export {path.stem} as ONNX: {what}") from error
    assert program is not None
    program.save(str(path), external_data=False)


@torch.no_grad()
def _compare(module: nn.Module, path: Path, inputs: Sequence[Tensor]) -> float:
    """The largest difference between torch and onnxruntime on some inputs; raises RunnerError beyond the tolerance."""
    # onnxruntime reads it at its import: no usage reports, which it would also keep in the user's cache folder.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    largest = 0.0
    for x in inputs:
        found = module(x)
        expected = found if isinstance(found, tuple) else (found,)
        for one, other in zip(expected, session.run(None, {name: x.numpy()}), strict=True):
            scale = max(1.0, float(one.abs().max()))
            # np.fmax and max would pass over a value that is no number.
            largest = float(np.maximum(largest, np.abs(one.numpy() - other).max() / scale))
    if not largest <= TOLERANCE:
        raise RunnerError(
            f"{path.name}: onnxruntime differs from torch by {largest:.1e}; expected at most {TOLERANCE:.0e}"
        )
    return largest


def _examples(run: Run, size: int) -> Tensor:
    """Random examples, [B, *]: whole numbers for counts, else numbers from 0 to 1."""
    generator = torch.Generator().manual_seed(size)
    x = torch.rand(size, *run.data.input_shape, generator=generator)
    return (3 * x).floor() if run.data.values == "counts" else x


def _codes(model: VAE, size: int) -> Tensor:
    noise = model.latents.prior_noise(size, torch.Generator().manual_seed(size))
    return model.latents.code(model.latents.prior_sample(noise, hard=True)).detach()

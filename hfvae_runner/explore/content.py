"""What the page shows of a run: its latent variables, examples with their codes, and the decoder or decoded pictures.

Shapes: N examples; D continuous factors; V values of a variable; C, H, W channels, height and width of an image; Q the
size of a code.
"""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hfvae_runner.api.codes import Codes, Floats, sample_of
from hfvae_runner.api.encoding import dataset_of_run
from hfvae_runner.api.loading import Run
from hfvae_runner.data import Dataset, Split
from hfvae_runner.errors import DataError, RunnerError
from hfvae_runner.explore import decoder
from hfvae_runner.latents.blocks import NormalBlock, QuantisedBlock
from hfvae_runner.latents.latents import Latents

Bytes = NDArray[np.uint8]

_MOST_EXAMPLES = 1000
_MOST_PIXELS = 4_000_000
_PRESETS = 20
_DECODED = 10
"""Examples with precomputed pictures, where the decoder is not in the page."""
_STEPS = 11
_HALF_A_LEVEL = 0.5 / 255
"""The largest difference of a pixel that rounding weights to 16 bits may make."""


@dataclass(frozen=True)
class Variable:
    """A latent variable on the page: a continuous factor, or a discrete variable or quantised factor.

    Attributes:
        name: of the variable.
        column: its first column in the code.
        low, high: the range of a continuous factor.
        variance: of a continuous factor's posterior mean over the examples.
        uniform: whether the decoder reads 2Φ(z) − 1 of a continuous factor z.
        codes: the code of each category, [K][columns]; None for a continuous factor.
    """

    name: str
    column: int
    low: float = 0.0
    high: float = 0.0
    variance: float = 0.0
    uniform: bool = False
    codes: list[list[float]] | None = None

    def values(self) -> Floats:
        """Return the values that precomputed pictures show: ``_STEPS`` over the range, or all categories."""
        if self.codes is not None:
            return np.arange(len(self.codes), dtype=np.float32)
        return np.linspace(self.low, self.high, _STEPS, dtype=np.float32)

    def to_json(self) -> dict[str, object]:
        """Return what the script reads of the variable."""
        own: dict[str, object] = {"name": self.name, "column": self.column}
        if self.codes is not None:
            return {**own, "codes": self.codes}
        return {**own, "low": self.low, "high": self.high, "variance": self.variance, "uniform": self.uniform}


@dataclass(frozen=True)
class Content:
    """Everything on the page.

    Attributes:
        title: the run's name.
        facts: pairs of a word and what it is for this run.
        data: what the script reads, as JSON values.
        weights: the decoder's numbers, little-endian; None where the pictures are precomputed.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    data: dict[str, object]
    weights: bytes | None


def content_of(run: Run, data_root: str | None, limit: float) -> Content:
    """Collect the content of a run's page.

    Args:
        run: of images.
        data_root: the folder of the data set's files; None for the run's own.
        limit: the largest decoder in the page, in MB.

    Raises:
        RunnerError: the data are not images, or are not at hand; or the model's codes are not finite.
    """
    if len(run.data.input_shape) != 3 or run.data.values == "counts":
        raise DataError(f"{run.folder}: the data are not images; expected a run on images")
    dataset = dataset_of_run(run, data_root)
    chosen = _some(dataset.test)
    split = dataset.test.take(chosen)
    x = split.x[torch.arange(len(split))]
    codes = run.encode(x)
    if not np.isfinite(codes.mean).all():
        raise DataError(f"{run.checkpoint}: the codes of its test images are not finite; expected another checkpoint")
    variables = _variables(run.model.latents, codes)
    shown, weights = _decoder(run, codes, limit)
    presets = _presets(split.labels, len(split))
    if shown is None:
        presets = presets[:_DECODED]
    data: dict[str, object] = {
        "image": list(run.data.input_shape),
        "size": run.model.latents.n_code,
        "variables": [variable.to_json() for variable in variables],
        "presets": presets,
        "examples": {
            **_sheet(_pixels(x)),
            "codes": _rows(codes, variables),
            "numbers": chosen.tolist(),
            "marks": _marks(dataset, split),
        },
        "decoder": shown,
        "decoded": None if shown is not None else _decoded(run, codes, variables, presets),
    }
    return Content(run.folder.resolve().name, _facts(run, shown), data, weights)


def _some(split: Split) -> Tensor:
    """Return which examples go into the page, int64 [N], in a random order that is the same every time."""
    pixels = math.prod(split.x.shape[1:])
    count = max(1, min(_MOST_EXAMPLES, _MOST_PIXELS // pixels, len(split)))
    return torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:count]


def _variables(latents: Latents, codes: Codes) -> list[Variable]:
    """Return the latent variables, block by block.

    A continuous factor's range is three standard deviations of the aggregate posterior on both sides of its mean.
    """
    found: list[Variable] = []
    for block, columns in zip(latents.blocks, latents.code_slices(), strict=True):
        if block.discrete:
            found.append(Variable(block.name, columns.start, codes=np.eye(block.n_code).tolist()))
            continue
        for place, name in enumerate(block.factor_names):
            if isinstance(block, QuantisedBlock):
                values = [[_short(value)] for value in block.codebook[place].tolist()]
                found.append(Variable(name, columns.start + place, codes=values))
                continue
            d = codes.names.index(name)
            mean, scale = codes.mean[:, d], codes.scale[:, d]
            centre, spread = mean.mean(), np.sqrt(mean.var() + np.square(scale).mean())
            ends = (_short(centre - 3 * spread), _short(centre + 3 * spread))
            uniform = isinstance(block, NormalBlock) and block.uniform
            found.append(Variable(name, columns.start + place, *ends, _short(mean.var()), uniform))
    return found


def _rows(codes: Codes, variables: Sequence[Variable]) -> list[list[float]]:
    """Return each example's value of each variable: the posterior mean, or the most probable category."""
    columns = [
        codes.mean[:, codes.names.index(each.name)] if each.codes is None else codes.probabilities[each.name].argmax(1)
        for each in variables
    ]
    return [[_short(value) for value in row] for row in np.stack(columns, axis=1)]


def _decoder(run: Run, codes: Codes, limit: float) -> tuple[dict[str, object] | None, bytes | None]:
    """Return the decoder's layers and numbers; nothing where the script cannot compute it, or it is too large.

    The numbers have 16 bits unless that changes a pixel of an example by more than half a grey level of 256.
    """
    link = decoder.link_of(run.model.likelihood)
    layers = None if link is None else decoder.layers_of(run.model)
    if layers is None:
        return None, None
    categories = {name: each.argmax(1) for name, each in codes.probabilities.items()}
    sample = sample_of(run.model.latents, codes.mean, categories, run.device)
    code = run.model.latents.code(sample).cpu()
    expected = torch.from_numpy(run.decode(codes))
    kind, number, chosen = "float16", "<f2", decoder.halved(layers)
    if not _difference(run, chosen, code, expected) <= _HALF_A_LEVEL:
        kind, number, chosen = "float32", "<f4", layers
        if not _difference(run, chosen, code, expected) <= _HALF_A_LEVEL:
            raise RunnerError("the decoder's layers do not reproduce its images; please report this with the config")
    weights = b"".join(each.numpy().astype(number).tobytes() for each in decoder.numbers(chosen))
    if len(weights) > limit * 1e6:
        return None, None
    return {"numbers": kind, "link": link, "layers": [layer.settings() for layer in chosen]}, weights


@torch.no_grad()
def _difference(run: Run, layers: Sequence[decoder.Layer], code: Tensor, expected: Tensor) -> float:
    raw = decoder.computed(layers, code).flatten(1)
    likelihood = run.model.likelihood
    shape = (len(code), likelihood.parameters_per_value, *run.data.input_shape)
    found = likelihood.mean(raw.view(shape).to(run.device)).cpu()
    return float((found.clamp(0, 1) - expected.clamp(0, 1)).abs().max())


def _presets(labels: Tensor | None, count: int) -> list[int]:
    """Return some examples to start from, of each class alike if there are labels."""
    if labels is None:
        return list(range(min(_PRESETS, count)))
    by_class = [torch.nonzero(labels == label)[:, 0].tolist() for label in torch.unique(labels)]
    in_turn = [members[turn] for turn in range(_PRESETS) for members in by_class if turn < len(members)]
    return in_turn[:_PRESETS]


def _marks(dataset: Dataset, split: Split) -> list[dict[str, object]]:
    """Return what is known of each example: its class, its ground-truth factors, its attributes."""
    found: list[dict[str, object]] = []
    if split.labels is not None:
        found.append({"name": "label", "values": split.labels.tolist(), "names": list(dataset.label_names or ())})
    if split.factors is not None and dataset.factors is not None:
        for name, column in zip(dataset.factors.names, split.factors.T, strict=True):
            found.append({"name": name, "values": column.tolist(), "names": []})
    if split.attributes is not None:
        for name, column in zip(dataset.attribute_names or (), split.attributes.T, strict=True):
            found.append({"name": name, "values": column.int().tolist(), "names": ["no", "yes"]})
    return found


def _decoded(run: Run, codes: Codes, variables: Sequence[Variable], presets: Sequence[int]) -> list[dict[str, object]]:
    """Return a sheet of each preset: its reconstruction, then each variable at each of its values."""
    own = {name: probabilities.argmax(1) for name, probabilities in codes.probabilities.items()}
    sheets: list[dict[str, object]] = []
    for preset in presets:
        count = 1 + sum(len(variable.values()) for variable in variables)
        mean = np.repeat(codes.mean[preset : preset + 1], count, axis=0)
        categories = {name: np.repeat(column[preset : preset + 1], count) for name, column in own.items()}
        start = 1
        for variable in variables:
            values = variable.values()
            rows = slice(start, start + len(values))
            if variable.codes is None:
                mean[rows, codes.names.index(variable.name)] = values
            else:
                categories[variable.name][rows] = values
            start = rows.stop
        sheets.append(_sheet(_pixels(torch.from_numpy(run.decode(mean, categories)))))
    return sheets


def _pixels(x: Tensor) -> Bytes:
    """Return images as bytes, [N, C, H, W]."""
    bytes_ = x if x.dtype == torch.uint8 else (x.float().clamp(0, 1) * 255).round().byte()
    pixels: Bytes = bytes_.cpu().numpy()
    return pixels


def _sheet(images: Bytes) -> dict[str, object]:
    """Return the images [N, C, H, W], row by row in one PNG as base64, and how many stand in a row."""
    count, channels, height, width = images.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    whole = np.zeros((down * across, channels, height, width), np.uint8)
    whole[:count] = images
    grid = whole.reshape(down, across, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = grid.reshape(down * height, across * width, channels)
    # A PNG has one, three or four channels; of two, or of more than four, the first is shown.
    kept = pixels if channels in (3, 4) else pixels[:, :, 0]
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(kept)).save(stream, "PNG")
    return {"sheet": base64.b64encode(stream.getvalue()).decode(), "across": across}


def _facts(run: Run, shown: dict[str, object] | None) -> list[tuple[str, str]]:
    choices = run.config["choices"]
    assert isinstance(choices, dict)
    facts = [(group, str(name)) for group, name in choices.items()]
    facts += [(name, str(value)) for name, value in run.knobs.items()]
    seed = run.config.get("seed")
    how = "precomputed pictures" if shown is None else f"in this page, {shown['numbers']}"
    return [*facts, ("seed", str(seed)), ("step", f"{run.step:,}"), ("decoder", how)]


def _short(value: float | np.generic) -> float:
    """Return a number with as many digits as matter for a picture."""
    return float(f"{float(value):.6g}")


def asset(name: str) -> str:
    """Return the text of a file of this folder."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")

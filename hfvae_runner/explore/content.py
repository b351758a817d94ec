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
from hfvae_runner.latents.blocks import QuantisedBlock
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
    images = _pixels(split.x[torch.arange(len(split))])
    codes = run.encode(_given(split.x))
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
        "variables": variables,
        "presets": presets,
        "examples": {
            "sheet": _sheet(images),
            "across": _across(len(images)),
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


def _given(x: object) -> Tensor:
    images: Tensor = x[torch.arange(len(x))]  # type: ignore[index, arg-type]
    return images


def _variables(latents: Latents, codes: Codes) -> list[dict[str, object]]:
    """Return each latent variable: its name, its place in the code, and its range or the code of each category.

    A continuous factor's range is three standard deviations of the aggregate posterior on both sides of its mean.
    """
    found: list[dict[str, object]] = []
    column = 0
    for block, columns in zip(latents.blocks, latents.code_slices(), strict=True):
        for place, name in enumerate(block.factor_names):
            own: dict[str, object] = {"name": name, "column": columns.start + (0 if block.discrete else place)}
            if block.discrete:
                own["codes"] = np.eye(block.n_code).tolist()
            elif isinstance(block, QuantisedBlock):
                own["codes"] = [[_short(value)] for value in block.codebook[place].detach().cpu().numpy()]
            else:
                mean, scale = codes.mean[:, column], codes.scale[:, column]
                centre, spread = float(mean.mean()), float(np.sqrt(mean.var() + np.square(scale).mean()))
                own |= {"low": _short(centre - 3 * spread), "high": _short(centre + 3 * spread)}
                own["variance"] = _short(mean.var())
                column += 1
            found.append(own)
    return found


def _rows(codes: Codes, variables: Sequence[dict[str, object]]) -> list[list[float]]:
    """Return each example's value of each variable: the posterior mean, or the most probable category."""
    columns: list[NDArray[np.generic]] = []
    for variable in variables:
        name = str(variable["name"])
        known = name in codes.probabilities
        columns.append(codes.probabilities[name].argmax(1) if known else codes.mean[:, codes.names.index(name)])
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
    rounded = decoder.halved(layers)
    kind, chosen = ("float16", rounded) if _difference(run, rounded, code, expected) <= _HALF_A_LEVEL else (
        "float32",
        layers,
    )  # fmt: skip
    if not _difference(run, chosen, code, expected) <= _HALF_A_LEVEL:
        raise RunnerError("the decoder's layers do not reproduce its images; please report this with the run's config")
    type_ = "<f2" if kind == "float16" else "<f4"
    weights = b"".join(each.numpy().astype(type_).tobytes() for each in decoder.numbers(chosen))
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


def _decoded(
    run: Run, codes: Codes, variables: Sequence[dict[str, object]], presets: Sequence[int]
) -> list[dict[str, object]]:
    """Return a sheet of each preset: its reconstruction, then each variable at ``_STEPS`` values or its categories."""
    sheets: list[dict[str, object]] = []
    for preset in presets:
        mean, categories = [codes.mean[preset]], {n: [int(p[preset].argmax())] for n, p in codes.probabilities.items()}
        for variable in variables:
            name = str(variable["name"])
            own = np.arange(len(variable["codes"])) if "codes" in variable else _steps(variable)  # type: ignore[arg-type]
            for value in own:
                row = codes.mean[preset].copy()
                if name in codes.names:
                    row[codes.names.index(name)] = value
                mean.append(row)
                for other, column in categories.items():
                    column.append(int(value) if other == name else column[0])
        images = run.decode(np.stack(mean), {name: np.array(column) for name, column in categories.items()})
        pixels = np.clip(np.rint(images * 255), 0, 255).astype(np.uint8)
        sheets.append({"sheet": _sheet(pixels), "across": _across(len(pixels))})
    return sheets


def _steps(variable: dict[str, object]) -> Floats:
    return np.linspace(float(variable["low"]), float(variable["high"]), _STEPS, dtype=np.float32)  # type: ignore[arg-type]


def _pixels(x: Tensor) -> Bytes:
    """Return images as bytes, [N, C, H, W]."""
    bytes_ = x if x.dtype == torch.uint8 else (x.float().clamp(0, 1) * 255).round().byte()
    pixels: Bytes = bytes_.cpu().numpy()
    return pixels


def _across(count: int) -> int:
    """Return the number of images in a row of a sheet."""
    return math.ceil(math.sqrt(count))


def _sheet(images: Bytes) -> str:
    """Return the images [N, C, H, W], row by row in one PNG, as base64."""
    count, channels, height, width = images.shape
    across = _across(count)
    down = math.ceil(count / across)
    whole = np.zeros((down * across, channels, height, width), np.uint8)
    whole[:count] = images
    grid = whole.reshape(down, across, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = grid.reshape(down * height, across * width, channels)
    # A PNG has one, three or four channels; of two, or of more than four, the first is shown.
    kept = pixels if channels in (3, 4) else pixels[:, :, 0]
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(kept)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


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

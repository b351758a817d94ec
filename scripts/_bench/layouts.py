"""Measures the gain of channels-last weights of convolutions: each model's step against one with contiguous weights."""

from collections.abc import Sequence
from statistics import median

import torch

from _bench import ways
from hfvae_runner.config import schema
from hfvae_runner.launch.composition import composed

SIDES = {
    **dict.fromkeys(("conv_joint64", "conv_shapes", "conv_celeba", "conv_faces", "conv_standard64", "dcgan"), 64),
    "conv_joint32": 32,
    "conv_infogan": 28,
}
PRECISIONS = ("fp32", "bf16")
BATCH = 64


def lines(overrides: Sequence[str], steps: int, rounds: int) -> list[str]:
    """Return a line for each model and precision: milliseconds per step of both layouts, and their ratio per round.

    Raises:
        RunnerError: the overrides do not fit a model.
    """
    head = f"{f'grey images, beta-VAE, B={BATCH}':<34}{'contiguous ms':>15}{'channels-last ms':>18}{'ratio':>8}"
    text = [f"{head}   [least, most]"]
    text += [line(model, precision, overrides, steps, rounds) for model in sorted(SIDES) for precision in PRECISIONS]
    return text


def line(model: str, precision: str, overrides: Sequence[str], steps: int, rounds: int) -> str:
    """Measure one model in one precision, and return its line."""
    own = [f"model={model}", f"image_size={SIDES[model]}", f"batch_size={BATCH}", f"precision={precision}"]
    config = schema.parse(composed(["dataset=digits", "objective=beta_vae", "prior=normal", *own, *overrides]))
    layouts = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    turns = {name: ways.together([config], layout) for name, layout in layouts.items()}
    seconds = ways.measured(turns, steps=steps, rounds=rounds)
    middle, least, most = ways.ratio(seconds["contiguous"], seconds["channels_last"])
    times = f"{1e3 * median(seconds['contiguous']):>15.1f}{1e3 * median(seconds['channels_last']):>18.1f}"
    return f"{f'{model}, {precision}':<34}{times}{middle:>8.2f}   [{least:.2f}, {most:.2f}]"

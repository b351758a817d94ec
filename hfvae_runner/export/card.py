"""The model card of an exported folder."""

import json
from collections.abc import Mapping

import torch

from hfvae_runner import __version__
from hfvae_runner.api.loading import Run

_NUMBERS = ("elbo", "reconstruction", "kl", "mutual_information", "total_correlation", "mig", "discrete_accuracy")


def card(run: Run, files: Mapping[str, str]) -> str:
    """Return the card as Markdown.

    Args:
        run: that is exported.
        files: what each file in the folder holds.
    """
    config = run.config
    choices = config["choices"]
    assert isinstance(choices, Mapping)
    lines = [
        "---",
        "library_name: hfvae_runner",
        "tags: [variational-autoencoder, disentanglement]",
        "---",
        "",
        f"# {choices['objective']} on {choices['dataset']}",
        "",
        f"A variational autoencoder trained by hfvae_runner {__version__}, torch {torch.__version__}.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {group} | `{_cell(choice)}` |" for group, choice in choices.items()),
        f"| objective's values | `{_cell(json.dumps(run.knobs, ensure_ascii=False))}` |",
        f"| seed | {config['seed']} |",
        f"| input | {'×'.join(map(str, run.data.input_shape))}, {run.data.values.replace('_', ' ')} |",
        f"| trained on | {run.data.examples:,} examples |",
        f"| optimiser steps | {run.step:,} |",
        "",
        *_results(run),
        "| file | content |",
        "|---|---|",
        *(f"| `{name}` | {content} |" for name, content in files.items()),
        "",
    ]
    if "model.safetensors" in files:
        lines += ["```python", "import hfvae_runner", "", 'run = hfvae_runner.load("FOLDER")', "```", ""]
    return "\n".join(lines)


def _results(run: Run) -> list[str]:
    test = (run.metrics or {}).get("test")
    known = {name: test[name] for name in _NUMBERS if isinstance(test, Mapping) and _is_number(test.get(name))}
    if not known:
        return []
    rows = [f"| {name.replace('_', ' ')} | {value:.4g} |" for name, value in known.items()]
    return ["On the test split (information in nats per example):", "", "| metric | value |", "|---|---|", *rows, ""]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("`", "'")

"""The terms an objective may weigh, one per file; a term's name is its file's and its function's.

The catalogue is read from the files' text, so that a config can be checked without importing torch.
"""

import ast
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfvae_runner.latents import Latents
    from hfvae_runner.terms._term import MeanTerm, Term


@cache
def available() -> dict[str, tuple[str, ...]]:
    """Every built-in term's name, with the names of the options it takes (its keyword-only arguments)."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    return {name: _options_of(name) for name in names}


def _options_of(name: str) -> tuple[str, ...]:
    tree = ast.parse((Path(__path__[0]) / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return tuple(argument.arg for argument in node.args.kwonlyargs)
    raise AssertionError(f"terms/{name}.py defines no function {name}")


def mean(name: str) -> "MeanTerm":
    """The built-in term called ``name``, one that is a mean over examples."""
    from hfvae_runner.terms._term import MeanTerm

    kind = getattr(import_module(f"{__name__}.{name}"), name)
    assert isinstance(kind, MeanTerm), f"{name} is no mean over examples"
    return kind


def bind(name: str, latents: "Latents", options: Mapping[str, object]) -> "Term":
    """The built-in term called ``name``, with its options, for these latents.

    Raises:
        ConfigError: an option's value is not of the kind that the term takes, or does not fit the latents.
    """
    from hfvae_runner.terms._options import check
    from hfvae_runner.terms._term import MeanTerm

    kind = getattr(import_module(f"{__name__}.{name}"), name)
    check(kind.per_example if isinstance(kind, MeanTerm) else kind, latents, options)
    bound: Term = kind.bind(options) if isinstance(kind, MeanTerm) else kind(latents, **options)
    return bound

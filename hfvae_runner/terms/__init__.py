"""The terms an objective may weigh, one per file; a term's name is its file's and its function's.

The catalogue is read from the files' text, so that a config can be checked without importing torch.
"""

import ast
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfvae_runner.terms._term import Term


@cache
def available() -> dict[str, tuple[str, ...]]:
    """Every built-in term's name, with the names of the options it takes (its keyword-only arguments)."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    return {name: _options(name) for name in names}


def _options(name: str) -> tuple[str, ...]:
    tree = ast.parse((Path(__path__[0]) / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return tuple(argument.arg for argument in node.args.kwonlyargs)
    raise AssertionError(f"terms/{name}.py defines no function {name}")


def load(name: str) -> "Term":
    """The built-in term called ``name``."""
    term: Term = getattr(import_module(f"{__name__}.{name}"), name)
    return term

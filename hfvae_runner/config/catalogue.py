"""The names and options of the terms that an objective may contain.

They are read from the source files of the terms, so that a config is checked without importing torch.
"""

import ast
from functools import cache
from pathlib import Path

import hfvae_runner

_FOLDER = Path(hfvae_runner.__file__).parent / "objectives" / "terms"


@cache
def terms() -> dict[str, tuple[str, ...]]:
    """Return every built-in term's name, with the names of its options (its keyword-only arguments)."""
    files = sorted(path for path in _FOLDER.glob("*.py") if not path.name.startswith("_"))
    return {path.stem: _options_of(path) for path in files}


def _options_of(path: Path) -> tuple[str, ...]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == path.stem:
            return tuple(argument.arg for argument in node.args.kwonlyargs)
    raise AssertionError(f"{path} defines no function {path.stem}")

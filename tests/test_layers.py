"""Data flows one way: a folder imports only what stands below it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import hfvae_runner

ROOT = Path(hfvae_runner.__file__).parent

# From the top down. What shares a line does not know each other.
LAYERS = """
    __main__ encode evaluate explore export reproduce score
    api
    launch
    runs
    evaluation
    training
    objectives
    models
    latents trackers report
    data distributions metrics storage
    config
    errors console figures openmp
"""
LEVEL = {name: level for level, line in enumerate(reversed(LAYERS.split("\n"))) for name in line.split()}

KNOW_HYDRA = ("__main__.py", "api/training.py", "evaluate.py", "launch/", "runs/assembly.py")
"""All others work on plain objects."""
NEED_NO_TORCH = ("config", "console", "errors", "launch", "openmp", "report", "reproduce", "storage")
"""What checks a config, and what reads results."""
MOST_MODULES = 6
"""At the package's top, beside ``__init__`` and ``__main__``."""


MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


@cache
def tree_of(path: str) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def folder_of(path: str) -> str:
    """The folder at the package's top, or the module that lies there."""
    return path.split("/")[0].removesuffix(".py")


def imported(tree: ast.Module) -> Iterator[str]:
    """Dotted names of everything imported anywhere in a module, `from x import y` as x.y."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide their layer"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_folders(tree: ast.Module) -> set[str]:
    """What a module imports of this package; the package's own names, such as its version, are free to all."""
    parts = [name.split(".") for name in imported(tree)]
    names = {rest[0] for package, *rest in parts if package == "hfvae_runner" and rest}
    return {name for name in names if (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()}


@pytest.mark.parametrize("path", [path for path in MODULES if path != "__init__.py"])
def test_a_module_imports_what_stands_below_its_folder(path: str) -> None:
    own = folder_of(path)
    assert own in LEVEL, f"{own} has no layer yet: name it in LAYERS"
    others = imported_folders(tree_of(path)) - {own}
    wrong = {name for name in others if LEVEL[name] >= LEVEL[own]}
    assert not wrong, f"{path} imports {wrong}, which do not stand below {own}"


def test_the_package_imports_nothing_until_it_is_used() -> None:
    program = "import sys, hfvae_runner; sys.exit(bool({'torch', 'hydra', 'numpy', 'pandas'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("path", [path for path in MODULES if not path.startswith(KNOW_HYDRA)])
def test_few_modules_know_hydra(path: str) -> None:
    packages = {name.split(".")[0] for name in imported(tree_of(path))}
    assert not packages & {"hydra", "omegaconf"}


@pytest.mark.parametrize("name", NEED_NO_TORCH)
def test_what_checks_a_config_or_reads_results_needs_no_torch(name: str) -> None:
    found = [path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in MODULES]
    # Computations of studies are imported when they run.
    own = [
        module
        for module in found
        if module.split(".")[0] == name and not module.endswith("__main__") and ".computations." not in module
    ]
    assert own
    program = f"import sys, {', '.join(f'hfvae_runner.{module}' for module in own)}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_few_modules_lie_at_the_top() -> None:
    top = {path for path in MODULES if "/" not in path} - {"__init__.py", "__main__.py"}
    assert len(top) <= MOST_MODULES


@pytest.mark.parametrize("path", [path for path in MODULES if path.endswith("/__init__.py")])
def test_a_folder_says_what_it_holds(path: str) -> None:
    text = ast.get_docstring(tree_of(path)) or ""
    assert len(text.splitlines()) >= 3


def test_the_test_sees_what_it_forbids() -> None:
    program = (
        "def f():\n  from hfvae_runner import training, __version__\n  import hfvae_runner.objectives.terms, hydra"
    )
    tree = ast.parse(program)
    assert set(imported(tree)) >= {"hfvae_runner.training", "hydra"}
    assert imported_folders(tree) == {"training", "objectives"}

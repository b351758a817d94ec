"""Data flows one way: a module imports only modules of lower layers, or of its own package."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import hfvae_runner

ROOT = Path(hfvae_runner.__file__).parent

# From the bottom up; a unit is a module or a package. Units of one line do not know each other.
LAYERS = (
    ("__init__", "console", "errors", "openmp", "vocabulary"),
    ("schedules", "distributions", "datasets", "options", "storage", "sections", "stored", "targets"),
    ("metrics", "figures", "runtime", "supervision"),
    ("blocks", "likelihoods", "estimators"),
    ("latents",),
    ("aggregate", "networks", "priors"),
    ("evidence",),
    ("model", "terms"),
    ("penalties",),
    ("objective",),
    ("schema", "history"),
    ("record",),
    ("state", "evaluation", "trackers"),
    ("train", "measure", "summary", "text_results"),
    ("restart", "illustrate"),
    ("results",),
    ("build", "report"),
    ("lifecycle",),
    ("together",),
    ("launch",),
    ("__main__", "evaluate"),
)
LEVEL = {unit: level for level, units in enumerate(LAYERS) for unit in units}

# The only ones that know Hydra and OmegaConf: all others work on plain objects.
KNOW_HYDRA = {"build", "launch", "__main__", "evaluate"}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module's path below the package, with its syntax tree."""
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")
    }


def unit_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def imported(tree: ast.Module) -> Iterator[str]:
    """Dotted names of everything imported anywhere in a module, `from x import y` as x.y."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide their layer"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_units(tree: ast.Module) -> set[str]:
    """The package's units that a module imports; the package's own names count as ``__init__``."""
    parts = [name.split(".") for name in imported(tree)]
    names = [rest[0] if rest else "__init__" for package, *rest in parts if package == "hfvae_runner"]
    return {name if name in LEVEL or is_module(name) else "__init__" for name in names}


def is_module(name: str) -> bool:
    return (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()


@pytest.mark.parametrize("path", sorted(modules()))
def test_a_module_imports_lower_layers_only(path: str) -> None:
    unit = unit_of(path)
    assert unit in LEVEL, f"{unit} has no layer yet: name it in LAYERS"
    unknown = {name for name in imported_units(modules()[path]) if name not in LEVEL}
    assert not unknown, f"{path} imports {unknown}, without a layer"
    wrong = {name for name in imported_units(modules()[path]) - {unit} if LEVEL[name] >= LEVEL[unit]}
    assert not wrong, f"{path} (layer {LEVEL[unit]}) imports {wrong} of its own layer or a higher one"


@pytest.mark.parametrize("path", sorted(path for path in modules() if unit_of(path) not in KNOW_HYDRA))
def test_only_the_outermost_layer_knows_hydra(path: str) -> None:
    packages = {name.split(".")[0] for name in imported(modules()[path])}
    assert not packages & {"hydra", "omegaconf"}


@pytest.mark.parametrize(
    "module",
    [
        *(
            "console",
            "errors",
            "vocabulary",
            "options",
            "schedules",
            "penalties",
            "sections",
            "schema",
            "storage",
            "stored",
            "history",
        ),
        *("record", "launch", "terms"),
    ],
)
def test_what_checks_a_config_needs_no_torch(module: str) -> None:
    program = f"import sys, hfvae_runner.{module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_test_sees_what_it_forbids() -> None:
    program = "def f():\n  from hfvae_runner import train, __version__\n  import hfvae_runner.objective, hydra.utils"
    tree = ast.parse(program)
    assert set(imported(tree)) >= {"hfvae_runner.train", "hydra.utils"}
    assert imported_units(tree) == {"train", "objective", "__init__"}

"""The notebook runs from top to bottom, with fewer steps."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import hfvae_runner

ROOT = Path(hfvae_runner.__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "tutorial" / "first_steps.ipynb"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shutil.copy(NOTEBOOK, tmp_path)
    notebook = nbformat.read(tmp_path / NOTEBOOK.name, as_version=4)
    shorter = 0
    for cell in notebook.cells:
        shorter += "steps=1000" in cell.source
        cell.source = cell.source.replace("steps=1000", "steps=30")
    assert shorter == 2, "the text and the cell that trains"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert any("discrete_accuracy" in output.get("data", {}).get("text/plain", "") for output in outputs)


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)

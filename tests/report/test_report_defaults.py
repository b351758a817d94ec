"""The default settings, read without Hydra."""

from pathlib import Path

import pytest

from hfvae_runner.config.stored import config_folder
from hfvae_runner.errors import DataError
from hfvae_runner.launch.composition import composed
from hfvae_runner.report.defaults import defaults
from hfvae_runner.report.settings import as_text, settings_of


def write(folder: Path, **files: str) -> Path:
    """Files of conf/, their groups and names divided by two underscores."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_they_are_hydra_s() -> None:
    expected = {key: as_text(value) for key, value in settings_of(composed([])).items()}
    found = defaults(config_folder())
    assert found == expected
    assert list(found) == list(expected)


def test_files_are_merged_in_the_order_of_the_lists(tmp_path: Path) -> None:
    write(
        tmp_path,
        config="defaults: [_self_, {model: a}, {metrics: [some]}, override hydra/job: x]\nlr: 1e-3\nsteps: 1",
        model__a="# @package _global_\nsteps: 2\nmodel: {_target_: x.a, size: '${latents}'}\nlatents: 5",
        metrics__some="defaults: [deep]\ndeep: {draws: 3}\nfigures: true",
        metrics__deep="# @package metrics.deep\ndraws: 1\nrows: 2",
    )
    found = defaults(tmp_path)
    assert (found["model"], found["lr"], found["steps"], found["model.size"]) == ("a", "0.001", "2", "5")
    assert (found["metrics.deep.draws"], found["metrics.deep.rows"]) == ("3", "2")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config": "["},
        {"config": "3"},
        {"config": "defaults: x"},
        {"config": "defaults: [{model: a}]"},
        {"config": "defaults: [{override /model: a}]", "model__a": "size: 1"},
        {"config": "defaults: [{model: null}]"},
        {"config": "steps: ${oc.env:STEPS}"},
        {"config": "steps: ${epochs}"},
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(DataError):
        defaults(write(tmp_path, **files))

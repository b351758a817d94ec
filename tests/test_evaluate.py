"""Measuring finished runs again: what is added, what is left, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hfvae_runner.evaluate import main as evaluate
from hfvae_runner.launch import main as train

SMALL = (
    "device=cpu",
    "image_size=8",
    "batch_size=128",
    "steps=20",
    "latents=2",
    "train.progress=false",
    "metrics.figures=false",
    "metrics.exact_limit=1e6",
)
CHOSEN = "metrics=[active_units,hoyer,label_information,mmd]"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert train([*SMALL, CHOSEN, "metrics.mmd.draws=50", f"hydra.run.dir={folder}"]) == 0
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy, to write to."""
    copy = tmp_path / "run"
    for path in finished.rglob("*"):
        if path.is_file():
            (copy / path.relative_to(finished)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(finished)).write_bytes(path.read_bytes())
    return copy


def metrics(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return content


def test_the_same_numbers_as_at_the_run_s_end(run: Path) -> None:
    before = metrics(run)
    for section in ("train", "test"):
        assert before[section]["mmd_imq"] != 0
    stripped = {**before, "test": {"elbo": 1.0}, "train": {"elbo": 2.0}, "measured": {}}
    (run / "metrics.json").write_text(json.dumps(stripped))
    assert evaluate([str(run)]) == 0
    after = metrics(run)
    assert after["measured"] == before["measured"]
    for section in ("train", "test"):
        added = {key: value for key, value in after[section].items() if key != "elbo"}
        assert "mmd_imq" in added and "label_information" in added
        assert added == {key: before[section][key] for key in added}
    # What was not measured again is as it was.
    assert (after["test"]["elbo"], after["train"]["elbo"]) == (1.0, 2.0)
    assert after["run"] == before["run"]


def test_other_metrics_are_added(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = metrics(run)
    assert evaluate([str(run), "metrics=clustering,gaussian_total_correlation"]) == 0
    after = metrics(run)
    assert after["test"].items() >= before["test"].items()
    assert after["test"]["adjusted_rand_index"] + 1 >= 0
    assert set(after["measured"]) == {*before["measured"], "clustering", "gaussian_total_correlation"}
    assert "clustering, gaussian_total_correlation" in capsys.readouterr().err
    assert yaml.safe_load((run / "config.yaml").read_text())["metrics"]["mmd"]["draws"] == 50, "the run's own is kept"


def test_options_change_what_they_are_about(run: Path) -> None:
    before = metrics(run)
    assert evaluate([str(run), "metrics.active_units.threshold=1e-12"]) == 0
    after = metrics(run)
    assert (before["test"]["active_units"], after["test"]["active_units"]) == (0, 2)
    assert after["measured"]["active_units"] == {"threshold": 1e-12}
    # The others are measured with the run's own options.
    assert after["measured"]["mmd"] == {"draws": 50}
    assert after["test"]["mmd_imq"] == before["test"]["mmd_imq"]


def test_a_reason_goes_when_it_no_longer_holds(run: Path) -> None:
    content = metrics(run)
    content["test"] |= {"active_units": None, "active_units_why": "an old one"}
    (run / "metrics.json").write_text(json.dumps(content))
    assert evaluate([str(run), "metrics=active_units"]) == 0
    assert metrics(run)["test"]["active_units"] == 0
    assert "active_units_why" not in metrics(run)["test"]


def test_several_runs_in_one_command(run: Path, finished: Path, tmp_path: Path) -> None:
    before = (finished / "metrics.json").read_bytes()
    other = tmp_path / "a=b"
    run.rename(other)
    assert evaluate([str(other), str(finished), "metrics=hoyer"]) == 0
    assert (finished / "metrics.json").read_bytes() == before
    assert metrics(other)["test"] == metrics(finished)["test"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["metrics=migg"], ["metrics=migg: no such choice", "mig"]),
        (["beta=3"], ["beta=3 would make another run of", "metrics=NAME"]),
        (["metrics.mmd.drws=3"], ["unknown key 'drws'", "did you mean 'draws'"]),
        (["metrics.mmd.draws=0"], ["metrics.mmd.draws=0: expected a whole number from 1 on"]),
        (["metrics.mmd.draws=1,2"], ["metrics.mmd.draws=1,2"]),
        (["metrics=mmd", "metrics.mmd.draws=1,2"], ["metrics.mmd.draws=1,2: expected a single value"]),
        (["+metrics.own._target_=os.getcwd", "metrics=[]"], ["metrics.own", "takes no subject"]),
        (["+metrics.own=3", "metrics=[]"], ["metrics.own: unknown key; expected one of exact_limit"]),
        (["threads=0"], ["threads=0"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    arguments: list[str], parts: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "metrics.json").read_bytes()
    assert evaluate([str(run), *arguments]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line
    assert (run / "metrics.json").read_bytes() == before


def test_a_folder_without_a_finished_run_is_refused_before_any_is_measured(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "metrics.json").read_bytes()
    assert evaluate([str(run), str(tmp_path / "nowhere"), "metrics=hoyer"]) == 2
    assert "nowhere holds no finished run; expected the folder of one" in capsys.readouterr().err
    assert evaluate(["metrics=hoyer"]) == 2
    assert "expected at least one run folder" in capsys.readouterr().err
    assert (run / "metrics.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "part"), [("{", "is not JSON"), ("[1]", "is not a run's results"), ('{"schema": 9}', "with schema 1")]
)
def test_results_that_are_no_results_are_refused(
    content: str, part: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "metrics.json").write_text(content)
    assert evaluate([str(run), "metrics=hoyer"]) == 2
    assert part in capsys.readouterr().err
    assert (run / "metrics.json").read_text() == content


@pytest.mark.slow
def test_the_metrics_of_the_field_s_tables_in_an_ordinary_run(tmp_path: Path) -> None:
    few = ("published_dci.train_rows=12", "published_dci.test_rows=12", "published_beta_vae_score.votes=100")
    options = [f"metrics.{option}" for option in few]
    data = ("dataset=dsprites_rendered", "image_size=null", "dataset.subset=200", "batch_size=50", "prior=normal")
    folder = tmp_path / "run"
    arguments = [*SMALL, *data, "steps=1", "metrics=as_published", *options, f"hydra.run.dir={folder}"]
    assert train(arguments) == 0
    section = metrics(folder)["test"]
    for name in ("mig", "sap", "modularity", "factor_vae_score", "beta_vae_score"):
        assert 0 <= section[f"published_{name}"] <= 1
    assert section["published_dci"].keys() == {"disentanglement", "completeness", "informativeness"}

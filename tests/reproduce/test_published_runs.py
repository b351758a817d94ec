"""Published runs: restored on another machine, they count as done; a file that is not what it should be is refused."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from hfvae_runner.reproduce.command import main

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")

SMALL = ["image_size=8", "batch_size=64", "steps=3", "metrics=hoyer", "metrics.figures=false", "train.progress=false"]
RUNS = Path("outputs/studies/mine/smoke/runs/vae")
LINES = Path("results/mine/runs.jsonl")


@pytest.fixture
def file() -> str:
    return write(["seed=0,1"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two published runs leave, to be copied."""
    place = tmp_path_factory.mktemp("published")
    before = Path.cwd()
    os.chdir(place)
    try:
        assert run(write(["seed=0,1"])) == 0
    finally:
        os.chdir(before)
    return place / "results"


def write(smoke: list[str]) -> str:
    elbo = {"metric": "test.elbo"}
    groups = [{"label": "VAE", "runs": {"sweep": "vae"}}]
    study = {
        "title": "VAE", "paper": "Nobody 2000", "shows": "Small runs.", "data": ["digits"], "differs": {},
        "sweeps": {"vae": {"command": ["objective=vae", *SMALL], "sizes": {"smoke": smoke, "cpu": ["seed=5"]}}},
        "rows": [{"what": "ELBO", "runs": {"sweep": "vae"}, "quantity": elbo}],
        "figure": {"kind": "boxes", "caption": "ELBO.", "groups": groups, "y": {"ELBO": elbo}},
    }  # fmt: skip
    Path("mine.yaml").write_text(yaml.safe_dump(study))
    return "mine.yaml"


def run(file: str, *arguments: str) -> int:
    return main([file, "publish=results", "device=cpu", *arguments])


def published() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("results/mine/study.json").read_text())
    return content


def test_another_machine_adds_to_the_published_runs(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file) == 0
    first, lines = published(), LINES.read_text()
    assert len(lines.splitlines()) == 2
    shutil.rmtree("outputs")

    assert run(write(["seed=0,1,2"])) == 0
    assert "2 runs restored from results/mine" in capsys.readouterr().err
    # Only the third was trained here.
    assert [len(list(RUNS.glob(f"*seed-{seed}_*/checkpoints/last.pt"))) for seed in range(3)] == [0, 0, 1]
    second = published()
    assert second["runs"] == {"completed": 3, "started": 3, "asked": 3} and second["hours"] > first["hours"]
    assert second["rows"][0]["ours"]["values"][:2] == first["rows"][0]["ours"]["values"]
    assert LINES.read_text().startswith(lines)
    before = LINES.read_bytes()
    assert run(write(["seed=0,1,2"]), "--no-run") == 0 and LINES.read_bytes() == before


def test_the_lines_name_no_folder_of_the_machine(file: str, workplace: Path) -> None:
    assert run(file, f"data_root={workplace}/data") == 0
    assert str(workplace) not in LINES.read_text()


def test_runs_of_another_size_are_left_out(file: str) -> None:
    assert run(file) == 0
    shutil.rmtree("outputs")
    assert run(file, "size=cpu") == 0
    assert published()["runs"] == {"completed": 1, "started": 1, "asked": 1}


def test_a_run_that_stands_is_kept(file: str) -> None:
    assert run(file) == 0
    folder = next(RUNS.glob("*seed-0_*"))
    own = (folder / "metrics.json").read_text().replace('"elbo": -', '"elbo": -1')
    (folder / "metrics.json").write_text(own)
    assert run(file) == 0
    assert (folder / "metrics.json").read_text() == own


def test_published_runs_of_another_commit_are_not_mixed(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file) == 0
    first, *rest = [json.loads(line) for line in LINES.read_text().splitlines()]
    first["metrics"]["run"]["versions"]["commit"] = "another"
    LINES.write_text("".join(f"{json.dumps(each)}\n" for each in (first, *rest)))
    shutil.rmtree("outputs")
    assert run(file) == 2
    assert "results/mine holds runs of another commit: another (1)" in capsys.readouterr().err
    assert not Path("outputs").exists()
    assert run(file, "commits=any") == 0 and published()["commits"]["another"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folder": "../../../elsewhere"}, "folder '../../../elsewhere'; expected a run folder's name"),
        ({"folder": ".hidden"}, "folder '.hidden'; expected a run folder's name"),
        ({"folder": None}, "folder None; expected a run folder's name"),
        ({"sweep": "vea"}, "sweep 'vea'; expected one of vae; did you mean 'vae'?"),
        ({"sweep": ["vae"]}, "sweep ['vae']; expected one of vae"),
        ({"metrics": [1]}, "metrics is list; expected a mapping"),
        ({"metrics": {"schema": 2}}, "metrics.json has schema 2; expected 1"),
        ({"config": {}}, "config.yaml does not say what was chosen"),
        ({"more": 1}, "is not a published run; expected sweep, folder, config, metrics"),
    ],
)
def test_a_malformed_line_is_refused(
    file: str, finished: Path, change: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, "results")
    line = {**json.loads(LINES.read_text().splitlines()[0]), **change}
    LINES.write_text(f"{json.dumps(line)}\n")
    assert run(file) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: results/mine/runs.jsonl, line 1") and message in error and error.count("\n") == 1
    assert not Path("outputs").exists()


def test_a_config_that_names_a_function_of_its_own_is_refused(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file) == 0
    lines = [json.loads(line) for line in LINES.read_text().splitlines()]
    lines[0]["config"]["model"]["_target_"] = "os.system"
    LINES.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    shutil.rmtree("outputs")
    assert run(file) == 2
    assert "os.system" in capsys.readouterr().err

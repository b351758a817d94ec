"""Whole studies through the command line, on a few small runs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from matplotlib.image import imread
from PIL import Image

from hfvae_runner.reproduce.command import main
from hfvae_runner.reproduce.study import load, names

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")

DATA = os.environ.get("HFVAE_DATA")
"""Read before the fixtures take it away."""
SMALL = ["image_size=8", "batch_size=64", "steps=3", "metrics=hoyer", "metrics.figures=false", "train.progress=false"]


def quantity(metric: str, **more: object) -> dict[str, object]:
    return {"metric": metric, **more}


STUDY = {
    "title": "Two objectives | on digits",
    "paper": "Nobody 2000, Table 1",
    "shows": "Small runs.",
    "data": ["digits"],
    "sweeps": {
        "vae": {"command": ["objective=vae", *SMALL], "sizes": {"smoke": ["seed=0,1"], "cpu": ["seed=0,1,2"]}},
        "beta": {"command": ["objective=beta_vae", *SMALL], "sizes": {"smoke": ["beta=1,4", "seed=0,1"]}},
    },
    "differs": {"smoke": "Three steps."},
    "rows": [
        {
            "what": "ELBO, VAE",
            "runs": {"sweep": "vae"},
            "quantity": quantity("test.elbo"),
            "better": "higher",
            "paper": {"value": -1e9, "where": "Table 1"},
        },
        {
            "what": "largest KL, β = 4",
            "runs": {"sweep": "beta", "where": {"beta": 4}},
            "quantity": quantity("test.kl_per_factor", take="max"),
        },
    ],
    "claims": [
        {
            "what": "β = 4 has a lower KL",
            "where": "Fig. 1",
            "quantity": quantity("test.kl"),
            "better": "lower",
            "method": {"sweep": "beta", "where": {"beta": 4}},
            "than": {"sweep": "beta", "where": {"beta": 1}},
        }
    ],
    "trends": [
        {
            "what": "KL falls with β",
            "where": "Fig. 1",
            "runs": {"sweep": "beta"},
            "x": "beta",
            "y": quantity("test.kl"),
            "sign": "negative",
        }
    ],
    "transfers": [
        {
            "what": "ELBO and KL rank β alike",
            "where": "Fig. 1",
            "quantity": quantity("test.elbo"),
            "other": quantity("test.kl"),
            "runs": {"sweep": "beta"},
            "to": {"sweep": "beta"},
            "by": ["beta"],
        }
    ],
    "shares": [
        {
            "what": "ELBO",
            "quantity": quantity("test.elbo"),
            "runs": {"sweep": ["vae", "beta"]},
            "by": [["objective"], ["beta"]],
        },
    ],
    "figure": {
        "kind": "boxes",
        "caption": "ELBO.",
        "groups": [
            {"label": "VAE", "runs": {"sweep": "vae"}},
            {"label": "β = 4", "runs": {"sweep": "beta", "where": {"beta": 4}}},
        ],
        "y": {"ELBO": quantity("test.elbo")},
    },
}
FIGURES = {
    "lines": {"kind": "lines", "x": "beta", "groups": [{"label": "β-VAE", "runs": {"sweep": "beta"}}]},
    "scatter": {"kind": "scatter", "x": quantity("test.kl"), "x_title": "KL, nats", "size": "beta"},
    "figures": {
        "kind": "figures",
        "groups": [
            {"label": "made", "runs": {"sweep": "vae"}, "picture": "kl_history"},
            {"label": "not made", "runs": {"sweep": "vae"}, "picture": "none"},
        ],
    },
    "correlations": {"kind": "correlations", "against": {"KL": quantity("test.kl")}},
}


def write(**changes: object) -> str:
    Path("mine.yaml").write_text(yaml.safe_dump({**STUDY, **changes}))
    return "mine.yaml"


def study(size: str = "smoke") -> dict[str, object]:
    content: dict[str, object] = json.loads(Path(f"outputs/studies/mine/{size}/study.json").read_text())
    return content


def test_a_study_is_run_compared_and_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(), "size=smoke", "publish=results", "device=cpu"]) == 0
    printed = capsys.readouterr().out
    assert "Two objectives \\| on digits" in printed and "| ELBO, VAE | -1000000000.0 (Table 1) |" in printed
    found = study()
    assert found["runs"] == {"completed": 6, "started": 6, "asked": 6} and found["differs"] == "Three steps."
    rows, claims, trends = found["rows"], found["claims"], found["trends"]
    assert isinstance(rows, list) and isinstance(claims, list) and isinstance(trends, list)
    runs = sorted(Path("outputs/studies/mine/smoke/runs/vae").glob("*/metrics.json"))
    elbos = [json.loads(path.read_text())["test"]["elbo"] for path in runs]
    assert sorted(rows[0]["ours"]["values"]) == sorted(elbos)
    assert (
        rows[0]["verdict"] == "other conditions (too few runs for an interval)"
        and rows[1]["verdict"] == "no number in the paper"
    )
    assert claims[0]["runs"] == [2, 2] and claims[0]["verdict"] == "undecided"
    assert trends[0]["runs"] == 4
    assert found["transfers"][0]["runs"] == 2 and found["transfers"][0]["verdict"] == "undecided"  # type: ignore[index]
    assert [level["groups"] for level in found["shares"][0]["levels"]] == [2, 3]  # type: ignore[index]
    assert "| ELBO | 6 | objective (2 groups) |" in printed and "| and beta (3 groups) |" in printed
    assert imread("outputs/studies/mine/smoke/figure.png").shape[0] > 100
    published = {path.relative_to("results").as_posix() for path in Path("results").rglob("*") if path.is_file()}
    assert published == {"README.md", "mine/README.md", "mine/figure.png", "mine/study.json", "mine/runs.jsonl"}
    overview = Path("results/README.md").read_text()
    assert "[mine](mine/README.md)" in overview and "1 other conditions" in overview

    # Finished runs are skipped, other figures need no run, and a larger size adds to nothing of the smaller one.
    before = {path: path.stat().st_mtime_ns for path in Path("outputs").rglob("metrics.json")}
    for run in Path("outputs/studies/mine/smoke/runs/vae").glob("*/metrics.json"):
        (run.parent / "figures").mkdir(exist_ok=True)
        Image.new("RGB", (300, 200), "red").save(run.parent / "figures" / "kl_history.png")
    for name, changes in FIGURES.items():
        figure = {**STUDY["figure"], **changes}  # type: ignore[dict-item]
        assert main([write(figure=figure), "device=cpu"]) == 0, name
        drawn = imread("outputs/studies/mine/smoke/figure.png")[..., :3]
        red = (drawn == (1, 0, 0)).all(axis=2).mean()
        assert (red > 0.1) == (name == "figures"), "one run's own picture, once"
    assert {path: path.stat().st_mtime_ns for path in Path("outputs").rglob("metrics.json")} == before
    assert main([write(), "size=cpu", "device=cpu"]) == 0
    assert study("cpu")["runs"] == {"completed": 3, "started": 3, "asked": 3}
    assert study("cpu")["rows"][1]["verdict"] == "not run"  # type: ignore[index]


@pytest.mark.parametrize("picture", [None, "../metrics", "/etc/passwd", "a b"])
def test_a_study_s_pictures_are_figures_of_its_runs(picture: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    group = {"label": "VAE", "runs": {"sweep": "vae"}, "picture": picture}
    figure = {**STUDY["figure"], "kind": "figures", "groups": [group]}  # type: ignore[dict-item]
    only = {"vae": {"command": ["objective=vae", *SMALL], "sizes": {"smoke": ["seed=0"]}}}
    file = write(sweeps=only, rows=[], claims=[], trends=[], transfers=[], shares=[], figure=figure)
    assert main([file, "device=cpu"]) == 2
    assert f"figure: group VAE: picture={picture}: expected the name of a run's figure" in capsys.readouterr().err


def test_a_failed_run_is_named_and_the_table_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = {"command": ["objective=vae", *SMALL], "sizes": {"smoke": ["seed=0,1", "lr=1e-3,1e30"]}}
    rows = [{"what": "ELBO", "runs": {"sweep": "vae", "where": {"lr": 1e-3}}, "quantity": quantity("test.elbo")}]
    figure = {**STUDY["figure"], "groups": [{"label": "VAE", "runs": {"sweep": "vae"}}]}  # type: ignore[dict-item]
    file = write(sweeps={"vae": sweep}, rows=rows, claims=[], trends=[], transfers=[], shares=[], figure=figure)
    assert main([file, "device=cpu"]) == 3
    found = study()
    assert found["runs"] == {"completed": 2, "started": 4, "asked": 4}
    assert len(found["not_completed"]) == 2  # type: ignore[arg-type]
    assert "## Runs that did not complete" in capsys.readouterr().out


def test_runs_of_another_commit_are_not_mixed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    none: dict[str, object] = {key: [] for key in ("rows", "claims", "trends", "transfers", "shares")}
    file = write(**none, sweeps={"vae": STUDY["sweeps"]["vae"]}, figure={  # type: ignore[index]
        **STUDY["figure"], "groups": [{"label": "VAE", "runs": {"sweep": "vae"}}],  # type: ignore[dict-item]
    })  # fmt: skip
    assert main([file, "device=cpu"]) == 0
    monkeypatch.setattr("hfvae_runner.reproduce.command.commit", lambda: "another")
    capsys.readouterr()
    assert main([file, "device=cpu"]) == 2
    assert "holds runs of another commit" in capsys.readouterr().err
    assert main([file, "--no-run", "device=cpu", "commits=any"]) == 0


def test_the_list_names_every_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names()
    assert all(line.endswith("paper)") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no study is named; expected some of "),
        (["hfvae_fig9x"], "no such study"),
        (["hfvae_fig8", "size=large"], "size=large: expected one of smoke, cpu, paper"),
        (["hfvae_fig8", "beta=3"], "beta=3: expected one of size"),
        (["hfvae_fig8", "thread=3"], "did you mean 'threads'?"),
        (["hfvae_fig8", "commits=mine"], "commits=mine: expected any"),
        (["hfvae_fig8", "--lst"], "expected STUDY"),
    ],
)
def test_refusals(arguments: list[str], message: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("error: ")
    assert not list(workplace.iterdir())


def test_a_size_that_the_study_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(), "size=paper"]) == 2
    assert "mine has no size=paper; expected one of smoke, cpu" in capsys.readouterr().err


def test_missing_data_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hfvae_fig10", "data_root=nowhere"]) == 2
    error = capsys.readouterr().err
    assert "nowhere" in error and "Traceback" not in error


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_study_runs_in_small(name: str) -> None:
    if {"mnist", "newsgroups20"} & set(load(name)[1].data) and DATA is None:
        pytest.skip("HFVAE_DATA does not say where the published files are")
    assert main([name, "size=smoke", "threads=1", *([] if DATA is None else [f"data_root={DATA}"])]) == 0
    found: dict[str, Any] = json.loads(Path(f"outputs/studies/{name}/smoke/study.json").read_text())
    assert found["runs"]["completed"] == found["runs"]["asked"] > 0
    assert not {"not run", "not defined in these runs"} & {row["verdict"] for row in found["rows"]}

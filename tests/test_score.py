"""Scoring representations from anywhere: the command, the function of the package, and that they agree."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import representations
from representations import Arrays, arrays

import hfvae_runner
from hfvae_runner.evaluation.scoring import score
from hfvae_runner.score import main

FEW = "metrics=[mig_binned,dci,sap,clustering,active_units,mmd,label_information]"
RELEASED = Path(os.environ.get("HFVAE_DATA", "data")).parent / "cases" / "jointvae_mnist_test_codes.npz"


def scores(*argv: object, out: Path) -> dict[str, Any]:
    """The results of a command that ends well."""
    assert main([*map(str, argv), f"out={out}"]) == 0
    content: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    return content


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert main([*map(str, argv)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    return line


def flat(value: object) -> list[object]:
    return [each for inner in value.values() for each in flat(inner)] if isinstance(value, dict) else [value]


@pytest.mark.skipif(not RELEASED.is_file(), reason="the folder cases is not beside HFVAE_DATA")
def test_the_released_model_of_jointvae_has_its_published_accuracy(tmp_path: Path) -> None:
    document = scores(RELEASED, "metrics=clustering", out=tmp_path / "s.json")
    section = document["files"][str(RELEASED)]
    # JointVAE's 88.7 %, one-to-one and by majority alike.
    assert section["discrete_accuracy"] == section["discrete_accuracy_majority"] == 0.8873
    assert section["examples"] == 10_000


def test_every_metric_of_a_code_that_copies_its_factors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = representations.npz(tmp_path / "copy.npz", arrays(600))
    content = scores(path, "metrics.mig.repeats=2", out=tmp_path / "s.json")
    assert content["schema"] == 1 and content["seed"] == 0
    assert content["measured"]["mig"] == {"samples": 10000, "repeats": 2}
    section = content["files"][str(path)]
    assert section["discrete_accuracy"] == section["discrete_accuracy_majority"] == 1
    assert section["dci"]["disentanglement"] > 0.97 and section["active_units"] == 3
    # Of size and x, whose noise hides nothing; shape, of nuisance, is known by z[0] and by the categories.
    assert section["mig_binned"] > 0.9 and section["sap"] > 0.9
    assert section["mig_binned_per_factor"]["shape"] < 0.1
    # What needs a prior, a model or a training split is null and says so.
    for key, why in {
        "mmd_imq": "the representation comes without its prior",
        "inclusive_kl": "the representation comes without its prior",
        "importance_bound": "the representation comes without its model",
        "discrete_accuracy_by_train": "the training split is not known",
    }.items():
        assert section[key] is None and section[f"{key}_why"] == why
    printed = capsys.readouterr().out
    assert "copy.npz" in printed and "dci.disentanglement" in printed and "without its model" in printed


def test_null_and_why_without_scales_label_and_factors(tmp_path: Path) -> None:
    path = representations.npz(tmp_path / "a.npz", {"mean": arrays()["mean"]})
    section = scores(path, out=tmp_path / "s.json")["files"][str(path)]
    for key, value in section.items():
        if value is None:
            assert section[f"{key}_why"]
    assert section["active_units"] == 3 and section["hoyer"] > 0
    assert "scales" in section["gaussian_total_correlation_why"]
    assert section["mig_why"] == "nothing is known of the examples"
    assert section["discrete_accuracy_why"] == "the data set has no labels"
    content = arrays()
    del content["scale"]
    path = representations.npz(tmp_path / "b.npz", content)
    section = scores(path, out=tmp_path / "s.json")["files"][str(path)]
    for key in ("mig", "mig_exact", "mig_blocks", "gaussian_total_correlation"):
        assert section[key] is None and section[f"{key}_why"] == "the scales of the posteriors are not known"
    assert "neither samples" in section["label_information_why"]
    # These go by the means.
    assert min(section[key] for key in ("mig_binned", "sap", "factor_vae_score", "beta_vae_score", "irs")) > 0.5


def test_two_examples_are_enough_for_an_answer() -> None:
    for seed in range(2):
        content = {**arrays(2, seed), "metrics": "all", "options": {"mig": {"repeats": 1}}}
        assert json.dumps(score(**content), allow_nan=False)


def test_several_files_make_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = representations.npz(tmp_path / "one.npz", arrays(seed=1))
    other = representations.csv(tmp_path / "other.csv", arrays(seed=2))
    both = scores(one, other, FEW, out=tmp_path / "s.json")
    printed = capsys.readouterr().out
    header, *rows = printed.splitlines()
    assert header.split() == ["one.npz", "other.csv"]
    accuracy = next(row for row in rows if row.startswith("discrete_accuracy "))
    assert accuracy.split()[1:] == ["1.0000", "1.0000"]
    # A file's numbers do not depend on what stands beside it.
    assert scores(other, FEW, out=tmp_path / "t.json")["files"][str(other)] == both["files"][str(other)]


def test_files_of_one_name_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    paths = [representations.npz(tmp_path / folder / "codes.npz", arrays()) for folder in ("a", "b")]
    assert main([*map(str, paths), "metrics=hoyer"]) == 0
    header = capsys.readouterr().out.splitlines()[0]
    assert "a/codes.npz" in header and "b/codes.npz" in header


def test_npz_csv_and_python_agree_and_the_seed_tells(tmp_path: Path) -> None:
    content = arrays(300)
    # Not whole numbers: binned.
    content["factors"] = content["factors"] + np.array([0, 0, 0.5]) * np.arange(300)[:, None] / 300
    npz, csv = representations.npz(tmp_path / "a.npz", content), representations.csv(tmp_path / "a.csv", content)
    found = scores(npz, csv, FEW, "factor_bins=7", "metrics.sap.kind=regression", out=tmp_path / "s.json")["files"]
    assert found[str(npz)] == found[str(csv)]
    assert found[str(npz)]["factor_bins"] == {"x": 7}
    names = FEW.removeprefix("metrics=[").rstrip("]").split(",")
    python = hfvae_runner.score(
        **{**content, "class_probabilities": {"class": content["class_probabilities"]}},
        metrics=names,
        options={"sap": {"kind": "regression"}},
        factor_bins=7,
    )
    assert json.loads(json.dumps(python, allow_nan=False)) == found[str(npz)]
    other = scores(npz, FEW, "seed=1", out=tmp_path / "t.json")["files"][str(npz)]
    assert other["label_information"] != python["label_information"]


def test_real_factors_enter_regressions_as_they_are() -> None:
    # A latent that is the factor itself explains all of it; its bins would not.
    values = np.random.default_rng(0).exponential(size=(400, 1))
    noise = np.random.default_rng(1).standard_normal((400, 1))
    content: Arrays = {"mean": np.hstack([values, noise]), "factors": values}
    found = score(**content, metrics="sap", options={"sap": {"kind": "regression"}})
    assert found["factor_bins"] == {"factor[0]": 10}
    assert isinstance(found["sap"], float) and found["sap"] == pytest.approx(1, abs=0.02)


def test_a_file_in_order_of_its_factors_is_scored_as_in_any_other_order() -> None:
    content = arrays(900)
    order = np.lexsort(content["factors"].T)
    for key in ("mean", "scale", "class_probabilities", "label", "factors"):
        content[key] = content[key][order]
    found: dict[str, Any] = score(**content, metrics=["dci", "explicitness"])
    assert found["dci"]["informativeness"] > 0.8 and found["explicitness"] > 0.7


def test_a_metric_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_mine.py").write_text("def rows(subject, *, times: int):\n    return {'mine': 2 * times}\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = representations.npz(tmp_path / "a.npz", arrays())
    found = scores(path, "metrics=[]", "metrics.mine._target_=of_mine.rows", "metrics.mine.times=4", out=tmp_path / "s")
    assert found["files"][str(path)] == {"examples": 240, "mine": 8}
    assert found["measured"] == {"mine": {"times": 4}}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["metrics=migg"], ["metrics=migg: no such choice", "did you mean 'mig'"]),
        (["metrics=mig", "metrics.mig.repeat=3"], ["does not take metrics.mig.repeat", "did you mean 'repeats'"]),
        (["metrics=mig", "metrics.mig.repeats=0"], ["metrics.mig.repeats=0: expected a whole number from 1 on"]),
        (["metrics=mig", "metrics.dci.trees=3"], ["metrics.dci.trees: no such metric is chosen; chosen are mig"]),
        (["metrics.own._target_=os.getcwd"], ["metrics.own", "takes no subject"]),
        (["seeed=1"], ["seeed=1: unknown key", "did you mean 'seed'"]),
        (["seed=one"], ["seed='one': expected a whole number from 0 on"]),
        (["seed=-1"], ["seed=-1: expected a whole number from 0 on"]),
        (["factor_bins=1"], ["factor_bins=1: expected a whole number from 2 on"]),
        (["out=nowhere/s.json"], ["out=nowhere/s.json: expected the name of a file in a folder that is there"]),
        (["out="], ["out=: expected the name of a file"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    arguments: list[str], parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, representations.npz(tmp_path / "a.npz", arrays()), *arguments)
    for part in parts:
        assert part in line
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_bad_file_stops_all_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = representations.npz(tmp_path / "a.npz", arrays())
    bad = representations.npz(tmp_path / "b.npz", {"mean": np.full((3, 2), np.nan)})
    assert "b.npz: mean[0, 0] is nan" in refused(capsys, good, bad, f"out={tmp_path / 's.json'}")
    assert "is given twice" in refused(capsys, good, good)
    assert "that is a file to score" in refused(capsys, good, f"out={good}")
    assert "expected at least one file" in refused(capsys, "metrics=mig")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_keys_that_are_none_of_a_representation_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = representations.npz(tmp_path / "a=b.npz", {"mean": arrays()["mean"], "lable": [1, 2]})
    assert scores(path, "metrics=hoyer", out=tmp_path / "s.json")["not_read"] == {str(path): ["lable"]}
    assert f"{path}: not read: lable" in capsys.readouterr().err


def test_udr_ranks_files_of_the_same_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = arrays()
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    reordered = {**content, "mean": -content["mean"][:, [2, 0, 3, 1]], "scale": content["scale"][:, [2, 0, 3, 1]]}
    turned = {**content, "mean": content["mean"] @ turn, "scale": np.full((240, 4), 0.1)}
    files = [
        representations.npz(tmp_path / f"{name}.npz", each)
        for name, each in {"one": content, "two": reordered, "turned": turned}.items()
    ]
    document = scores(*files, "metrics=active_units", "udr=spearman", out=tmp_path / "s.json")
    assert any(row.startswith("udr ") for row in capsys.readouterr().out.splitlines())
    one, two, other = (document["udr"][str(path)] for path in files)
    assert one == pytest.approx(two) and one > other
    assert document["measured"] == {"active_units": {"threshold": 0.01}, "udr": {"correlation": "spearman"}}
    assert scores(*files, "metrics=[]", "udr=lasso", out=tmp_path / "s.json")["udr"][str(files[2])] < 1
    assert scores(*files, "metrics=hoyer", out=tmp_path / "s.json")["udr"] is None
    capsys.readouterr()

    def line(change: Arrays) -> str:
        return refused(capsys, files[0], representations.npz(tmp_path / "b.npz", {**content, **change}), "udr=lasso")

    few = {key: content[key][:200] for key in ("mean", "scale", "class_probabilities", "label", "factors")}
    assert "b.npz has 200; expected the same examples in the same order" in line(few)
    assert "b.npz differ in labels or factors; expected the same examples" in line(
        {"factors": content["factors"][::-1]}
    )
    bare = {key: value for key, value in content.items() if key != "scale"}
    path = representations.npz(tmp_path / "c.npz", bare)
    assert "neither scale nor log_variance" in refused(capsys, files[0], path, "udr=lasso")
    assert "there is one file; expected several" in refused(capsys, files[0], "udr=lasso")
    assert "udr='pearson': expected one of spearman, lasso" in refused(capsys, *files, "udr=pearson")


def test_the_results_are_strict_json(tmp_path: Path) -> None:
    path = representations.npz(tmp_path / "a.npz", arrays())
    values = flat(scores(path, FEW, out=tmp_path / "s.json"))
    assert all(not isinstance(value, float) or math.isfinite(value) for value in values)


def program(text: str) -> None:
    subprocess.run([sys.executable, "-c", text], check=True)


def test_the_package_alone_imports_neither_torch_nor_hydra() -> None:
    program("import sys, hfvae_runner; sys.exit(bool({'torch', 'hydra', 'numpy', 'pydantic'} & set(sys.modules)))")
    program("import hfvae_runner; assert 'score' in dir(hfvae_runner); assert not hasattr(hfvae_runner, 'skore')")


def test_scoring_needs_no_torch_where_no_metric_does() -> None:
    program(
        "import sys, hfvae_runner\n"
        "found = hfvae_runner.score(mean=[[0.0], [1.0]], class_probabilities=[[1, 0], [0, 1]], label=[1, 0],\n"
        "                           metrics='clustering')\n"
        "assert found['discrete_accuracy'] == 1\n"
        "sys.exit(bool({'torch', 'hydra', 'omegaconf'} & set(sys.modules)))"
    )


@pytest.mark.parametrize("first", ["import hfvae_runner.score", "from hfvae_runner.score import main", "pass"])
def test_the_command_s_module_does_not_hide_the_function(first: str) -> None:
    program(
        f"{first}\nimport hfvae_runner\nfrom hfvae_runner import score\n"
        "for function in (score, hfvae_runner.score):\n"
        "    assert function(mean=[[0.0, 1.0], [1.0, 1.0]], metrics='active_units')['active_units'] == 1"
    )


def test_the_command_is_a_program(tmp_path: Path) -> None:
    path = representations.npz(tmp_path / "a.npz", arrays())
    command = [sys.executable, "-m", "hfvae_runner.score", str(path), "metrics=hoyer"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert found.stdout.splitlines()[1].split() == ["examples", "240"] and found.stderr == ""

"""`resume=auto` and `resume=FOLDER`: what goes on, what is left alone, what is refused."""

from pathlib import Path

import pytest
from launching import FakeBuild, leave_run, refused, resolved

from hfvae_runner.launch import main

pytestmark = pytest.mark.usefixtures("workplace")


def test_auto_starts_where_there_is_nothing(build: FakeBuild, workplace: Path) -> None:
    (workplace / "run").mkdir()
    assert main(["resume=auto", "hydra.run.dir=run"]) == 0
    assert build.ran[0][0].resume is None  # a new run


def test_auto_goes_on_from_a_checkpoint(build: FakeBuild, workplace: Path) -> None:
    leave_run(workplace / "run", resolved("beta=7"), finished=False)
    argv = ["resume=auto", "hydra.run.dir=run", "beta=7", "device=cpu", "data_root=/elsewhere", "train.progress=false"]
    assert main(argv) == 0
    assert build.ran[0][0].device == "cpu"


def test_auto_leaves_a_finished_run_alone(
    build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_run(workplace / "run", resolved("steps=5"), finished=True)
    assert main(["resume=auto", "hydra.run.dir=run", "steps=5"]) == 0
    assert "finished, left as it is" in capsys.readouterr().err
    assert not build.ran
    assert not build.checked


@pytest.mark.parametrize(
    ("before", "after"), [("steps=5", "steps=6"), ("epochs=5", "epochs=6"), ("steps=5", "epochs=6")]
)
def test_auto_extends_a_finished_run(before: str, after: str, build: FakeBuild, workplace: Path) -> None:
    leave_run(workplace / "run", resolved(before), finished=True)
    assert main(["resume=auto", "hydra.run.dir=run", after]) == 0
    assert len(build.ran) == 1


@pytest.mark.parametrize("finished", [False, True])
def test_fewer_steps_are_refused(
    finished: bool, build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_run(workplace / "run", resolved("steps=5"), finished=finished)
    assert "steps=4: run holds a run of 5 steps" in refused(capsys, "resume=auto", "hydra.run.dir=run", "steps=4")
    assert "steps=4: run holds a run of 5 steps" in refused(capsys, "resume=run", "steps=4")


def test_a_folder_of_an_earlier_version_lacks_later_keys(build: FakeBuild, workplace: Path) -> None:
    stored = resolved("beta=12")
    for section, key in (("train", "weight_decay"), ("supervision", "factor_examples"), ("dataset", "pairs")):
        values = dict(stored[section])
        values.pop(key, None)
        stored[section] = values
    del stored["init_from"], stored["trust"]
    for name, arguments in (("one", ["resume=auto", "hydra.run.dir=one", "beta=12"]), ("two", ["resume=two"])):
        leave_run(workplace / name, stored, finished=False)
        assert main(arguments) == 0
    assert len(build.ran) == 2


def test_auto_lists_what_differs(build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave_run(workplace / "run", resolved("beta=12"), finished=False)
    line = refused(capsys, "resume=auto", "hydra.run.dir=run", "beta=7", "seed=1")
    assert "seed: 0 → 1" in line
    assert "beta: 12 → 7" in line
    line = refused(capsys, "resume=auto", "hydra.run.dir=run", "objective=vae")
    assert "(objective: hfvae → vae, " in line
    assert not build.ran


def test_a_run_goes_on_with_its_own_config(build: FakeBuild, workplace: Path) -> None:
    leave_run(workplace / "a b é", resolved("beta=7", "dataset=mnist", "steps=5"), finished=True)
    assert main(["resume='a b é'", "steps=9", "device=cpu", "objective=hfvae", "beta=7", "data_root=/elsewhere"]) == 0
    ((config, folder),) = build.ran
    assert folder == Path("a b é")
    assert (config.steps, config.device, config.resume, config.knobs["beta"]) == (9, "cpu", "auto", 7)
    assert config.choices["dataset"] == "mnist"
    assert config.data_root == config.dataset["root"] == "/elsewhere"
    assert config.resolved["steps"] == 9
    assert len(build.checked) == 1


def test_resuming_a_finished_run_leaves_it_alone(
    build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_run(workplace / "run", resolved("steps=5"), finished=True)
    assert main(["resume=run"]) == 0
    assert "finished" in capsys.readouterr().err
    assert not build.ran


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["beta=7"], ["beta: 12.0 → 7"]),
        (["objective=vae", "seed=4"], ["objective: hfvae → vae", "seed: 0 → 4"]),
        (["threads=2"], ["threads=2: run is resumed with its own number, null", "expected none"]),
        (["train.log_every=7"], ["train.log_every: 50 → 7"]),
        (["bta=7"], ["bta=7: unknown key 'bta'", "did you mean 'beta'"]),
        (["checkpoints.kep=7"], ["unknown key 'kep'", "did you mean 'keep'"]),
        (["+foo=1"], ["unknown key 'foo'"]),
        (["~beta"], ["~beta cannot be given"]),
        (["steps=5,6"], ["steps=5,6 cannot be given"]),
        (["train=default"], ["train=default cannot be given"]),
        (["hydra.run.dir=x"], ["hydra.run.dir=x cannot be given"]),
        (["steps=many"], ["steps='many'"]),
        (["steps=${nope}"], ["'nope' not found"]),
    ],
)
def test_what_a_resumed_run_refuses(
    overrides: list[str], parts: list[str], build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_run(workplace / "run", resolved(), finished=False)
    before = (workplace / "run" / "config.yaml").read_text()
    line = refused(capsys, "resume=run", *overrides)
    for part in parts:
        assert part in line
    assert not build.ran
    assert (workplace / "run" / "config.yaml").read_text() == before


def test_a_damaged_config_is_refused(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave_run(workplace / "run", {"seed": 0}, finished=False)
    assert "choices is missing" in refused(capsys, "resume=run")
    (workplace / "run" / "config.yaml").write_text("[")
    assert "config.yaml" in refused(capsys, "resume=run")


@pytest.mark.parametrize(
    "given", ["metrics=all", "metrics=[default,dci]", "metrics.figures=true", "metrics.exact_limit=1e7"]
)
def test_other_metrics_measure_a_finished_run_again(given: str, build: FakeBuild, workplace: Path) -> None:
    leave_run(workplace / "run", resolved("steps=5", "metrics.figures=false"), finished=True)
    asked = [] if given == "metrics.figures=true" else ["metrics.figures=false"]
    assert main(["resume=auto", "hydra.run.dir=run", "steps=5", given, *asked]) == 0
    assert not build.ran
    ((config, folder),) = build.measured
    assert (folder, config.steps) == (workplace / "run", 5)
    assert len(build.checked) == 1


def test_a_finished_run_is_measured_again_by_name(build: FakeBuild, workplace: Path) -> None:
    leave_run(workplace / "run", resolved("steps=5", "beta=7"), finished=True)
    assert main(["resume=run", "metrics=mig,dci"]) == 0
    ((config, folder),) = build.measured
    assert folder == Path("run")
    assert config.knobs["beta"] == 7
    assert set(config.metrics.chosen) == {"mig", "dci"}
    assert not build.ran


def test_what_was_measured_is_not_measured_again(build: FakeBuild, workplace: Path) -> None:
    leave_run(workplace / "run", resolved("steps=5", "metrics=all"), finished=True)
    assert main(["resume=auto", "hydra.run.dir=run", "steps=5", "metrics=hoyer", "threads=2"]) == 0
    assert not build.ran
    assert not build.measured


def test_other_metrics_are_those_of_a_run_that_is_trained_on(build: FakeBuild, workplace: Path) -> None:
    leave_run(workplace / "cut", resolved("steps=5"), finished=False)
    leave_run(workplace / "done", resolved("steps=5"), finished=True)
    assert main(["resume=auto", "hydra.run.dir=cut", "steps=5", "metrics=hoyer"]) == 0
    assert main(["resume=auto", "hydra.run.dir=done", "steps=6", "metrics=hoyer"]) == 0
    assert [set(config.metrics.chosen) for config, _ in build.ran] == [{"hoyer"}, {"hoyer"}]
    assert not build.measured


def test_a_run_is_resumed_with_its_own_threads(
    build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_run(workplace / "run", resolved("threads=1"), finished=False)
    assert main(["resume=auto", "hydra.run.dir=run", "threads=2"]) == 0
    ((config, _),) = build.ran
    assert (config.threads, config.resolved["threads"]) == (1, 1)
    assert "resumed with its own threads=1" in capsys.readouterr().err

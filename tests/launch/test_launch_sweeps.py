"""Sweeps: a gate for all jobs at once, a folder for each, and failures that stay with their job."""

import pickle
from pathlib import Path

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from launching import FakeBuild, fails, refused
from omegaconf import DictConfig

from hfvae_runner.config.schema import Config
from hfvae_runner.errors import CheckpointError, DataError, Diverged
from hfvae_runner.launch import JobFailed, main, run_name

pytestmark = pytest.mark.usefixtures("workplace")


def test_a_sweep_runs_every_job_in_a_folder_of_its_own(build: FakeBuild, workplace: Path) -> None:
    assert main(["gamma=2", "-m", "beta=1,4", "seed=0,1", "steps=3"]) == 0
    expected = [
        workplace / "outputs" / "sweeps" / run_name(["gamma=2", f"beta={beta}", f"seed={seed}"])
        for beta in (1, 4)
        for seed in (0, 1)
    ]
    assert [folder for _, folder in build.ran] == expected
    assert [config.knobs["beta"] for config, _ in build.ran] == [1, 1, 4, 4]
    assert len(build.checked) == 4


@pytest.mark.parametrize("sweeper", [(), ("hydra/sweeper=basic",)])
def test_a_job_is_composed_to_be_checked_and_to_be_run(
    sweeper: tuple[str, ...], build: FakeBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra's own sweeper composes each job once more."""
    compose, composed = ConfigLoaderImpl.load_sweep_config, []

    def load_sweep_config(self: ConfigLoaderImpl, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        composed.append(tuple(sweep_overrides))
        return compose(self, master_config, sweep_overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", load_sweep_config)
    assert main(["-m", "seed=0,1", "hydra.sweep.dir=sweep", *sweeper]) == 0
    assert len(composed) == (6 if sweeper else 4)
    assert len(build.ran) == 2


def test_a_value_that_only_the_swept_objectives_know(build: FakeBuild) -> None:
    assert main(["-m", "objective=joint_vae,vae", "seed=3", "model=mlp_mnist", "hydra.sweep.dir=here"]) == 0
    assert main(["-m", "objective=kumar_table1,zhao_table1", "lambda={linear: [0, 4, 9]}"]) == 0
    *_, (config, folder) = build.ran
    assert config.knobs["lambda"] == {"linear": [0, 4, 9]}
    assert folder.name == run_name(["objective=zhao_table1", "lambda={linear: [0, 4, 9]}"])


def test_a_larger_grid_finds_the_finished_jobs(build: FakeBuild) -> None:
    assert main(["-m", "seed=0,1"]) == 0
    assert main(["-m", "seed=0,1,2", "resume=auto"]) == 0
    assert [config.seed for config, _ in build.ran] == [0, 1, 2]


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["objective=hfvae,beta_vae", "gamma=1,2"], ["job 2 (objective=beta_vae gamma=1): ", "unknown key 'gamma'"]),
        (["gama=1,2"], ["job 0 (gama=1)", "did you mean 'gamma'"]),
        (["beta=1,four"], ["job 1 (beta=four): beta='four'"]),
        (["objective=hfvae,vea"], ["job 1", "objective=vea: no such choice"]),
        (["objective=hfvae,null"], ["job 1", "objective=null"]),
        (["steps=5,6"], ["job 1 (steps=6)", "is that of job 0"]),
        (["seed=1,2", "hydra.sweep.subdir=same"], ["job 1 (seed=2)", "is that of job 0"]),
        (["seed=1,2", "hydra.sweep.dir=${nope}"], ["hydra.sweep.dir", "'nope' not found"]),
        (["seed=1,2", "hydra.sweep.dir=/proc/x"], ["/proc/x"]),
        (["seed=interval(1,2)"], ["INTERVAL"]),
        (["resume=auto,elsewhere"], ["job 1", "resume=elsewhere"]),
    ],
)
def test_a_sweep_is_refused_as_a_whole(
    argv: list[str], parts: list[str], build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, "-m", *argv)
    for part in parts:
        assert part in line
    assert not build.ran
    assert not list(workplace.iterdir())


def test_every_job_is_checked_before_the_first_starts(
    build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(config: Config) -> None:
        if config.seed == 2:
            raise DataError("no such file")

    build.on_check = check
    assert refused(capsys, "-m", "seed=0,1,2") == "error: job 2 (seed=2): no such file"
    assert not build.ran
    assert not list(workplace.iterdir())


def test_a_sweep_refuses_a_folder_with_a_run(
    build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", "seed=1"]) == 0
    capsys.readouterr()
    line = refused(capsys, "-m", "seed=0,1")
    assert "job 1 (seed=1)" in line
    assert "holds a finished run" in line
    assert len(build.ran) == 1


def test_the_first_failed_job_decides_the_exit_code_and_the_others_go_on(
    build: FakeBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(config: Config) -> None:
        if config.seed == 1:
            raise Diverged("kl is nan at step 7")
        if config.seed == 2:
            raise KeyError("bug")

    build.on_run = run
    assert main(["-m", "seed=0,1,2,3"]) == 3
    assert [config.seed for config, _ in build.ran] == [0, 1, 2, 3]
    errors = capsys.readouterr().err
    assert "error: kl is nan at step 7" in errors
    assert "KeyError: 'bug'" in errors
    statuses = [folder / "status.json" for _, folder in build.ran]
    assert [status.exists() for status in statuses] == [False, True, True, False]
    assert yaml.safe_load(statuses[1].read_text()) == {
        "status": "diverged",
        "reason": "kl is nan at step 7",
        "exit_code": 3,
    }
    assert yaml.safe_load(statuses[2].read_text())["exit_code"] == 1
    assert yaml.safe_load(statuses[2].read_text())["status"] == "failed"


def test_a_finished_run_that_cannot_be_extended_stays_finished(build: FakeBuild) -> None:
    assert main(["-m", "seed=0", "steps=9"]) == 0
    build.on_run = fails(CheckpointError("it is at step 9 already"))
    assert main(["-m", "seed=0", "epochs=1", "resume=auto"]) == 2
    folder = build.ran[-1][1]
    assert (folder / "metrics.json").exists()
    assert not (folder / "status.json").exists()


def test_a_bug_in_a_sweep_exits_with_1(build: FakeBuild) -> None:
    build.on_run = fails(KeyError("bug"))
    assert main(["-m", "seed=0,1"]) == 1


def test_a_failure_survives_the_way_between_processes() -> None:
    failure = pickle.loads(pickle.dumps(JobFailed(3)))
    assert failure.exit_code == 3

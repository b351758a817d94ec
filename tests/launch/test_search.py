"""A sweep whose sweeper chooses the values: Optuna, on a build that trains nothing."""

import json
import warnings
from pathlib import Path

import pytest
import yaml
from launching import FakeBuild, refused

from hfvae_runner.config.schema import Config
from hfvae_runner.errors import ConfigError, DataError, Diverged
from hfvae_runner.launch import main, run_name
from hfvae_runner.launch.composition import parse_overrides
from hfvae_runner.launch.search import NoSuchMetric, optimized, samples

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own and its dependencies' imports
    import optuna  # noqa: F401

pytestmark = pytest.mark.usefixtures("workplace")

SEARCH = (
    "-m",
    "hydra/sweeper=optuna",
    "hydra.sweeper.direction=maximize",
    "hydra.sweeper.sampler.seed=0",
    "hydra.sweep.dir=search",
    "optimized_metric=test.elbo",
)


@pytest.fixture(autouse=True)
def scored(build: FakeBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's ELBO is best at beta=5."""
    plain = build.run

    def run(config: Config, folder: Path) -> dict[str, object]:
        done = plain(config, folder)
        beta = config.knobs["beta"]
        assert isinstance(beta, int | float)
        leave_metrics(folder, {"elbo": -((beta - 5.0) ** 2), "mig": None, "mig_why": "no factors"})
        return done

    monkeypatch.setattr(build, "run", run)


def leave_metrics(folder: Path, test: dict[str, object]) -> None:
    (folder / "metrics.json").write_text(json.dumps({"schema": 1, "test": test}))


def tried(build: FakeBuild) -> list[object]:
    return [config.knobs["beta"] for config, _ in build.ran]


def test_a_search_finds_the_best_value(build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "beta=interval(1,12)", "gamma=tag(log, interval(1,8))", "hydra.sweeper.n_trials=12"]) == 0
    assert len(build.ran) == 12
    for config, folder in build.ran:
        beta, gamma = config.knobs["beta"], config.knobs["gamma"]
        assert 1 <= beta <= 12
        assert 1 <= gamma <= 8
        assert folder == Path("search", run_name([f"beta={beta}", f"gamma={gamma}"])).resolve()
    found = yaml.safe_load(Path("search/optimization_results.yaml").read_text())
    assert found["best_value"] == max(-((beta - 5.0) ** 2) for beta in tried(build))
    assert found["best_params"]["beta"] in tried(build)
    assert f"best of the search: {found['best_value']:.6g} with beta=" in capsys.readouterr().err


def test_the_same_search_again_takes_what_is_there(build: FakeBuild) -> None:
    search = [*SEARCH, "beta=interval(1,12)", "hydra.sweeper.n_trials=4"]
    assert main(search) == 0
    first = yaml.safe_load(Path("search/optimization_results.yaml").read_text())
    assert main([*search[:-1], "hydra.sweeper.n_trials=6", "resume=auto"]) == 0
    assert len(build.ran) == len(set(tried(build))) == 6
    assert yaml.safe_load(Path("search/optimization_results.yaml").read_text())["best_value"] >= first["best_value"]


def test_values_that_come_up_again_are_not_run_again(build: FakeBuild) -> None:
    assert main([*SEARCH, "beta=choice(1,4)", "hydra.sweeper.n_trials=6"]) == 0
    assert sorted(map(str, tried(build))) == ["1", "4"]


def test_a_trial_that_fails_does_not_end_the_search(build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: Config) -> None:
        if config.knobs["beta"] == 4:
            raise Diverged("kl is nan at step 7")

    build.on_run = run
    assert main([*SEARCH, "beta=choice(4,1,6)", "hydra.sweeper.n_trials=9"]) == 3
    assert set(tried(build)) == {1, 4, 6}
    assert yaml.safe_load(Path("search/optimization_results.yaml").read_text())["best_params"] == {"beta": 6}
    status = json.loads((Path("search") / run_name(["beta=4"]) / "status.json").read_text())
    assert status["status"] == "diverged"
    assert "best of the search: -1 with beta=6" in capsys.readouterr().err


def test_a_search_without_a_result(build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: Config) -> None:
        raise Diverged("kl is nan at step 7")

    build.on_run = run
    assert main([*SEARCH, "beta=choice(1)", "hydra.sweeper.n_trials=2"]) == 3
    assert "error: No trials are completed yet." in capsys.readouterr().err


def test_a_metric_that_no_run_has_ends_the_search(build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "optimized_metric=test.ebo", "beta=interval(1,12)", "hydra.sweeper.n_trials=5"]) == 2
    assert len(build.ran) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "optimized_metric=test.ebo" in line
    assert "did you mean 'test.elbo'?" in line


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["optimized_metric=null", "beta=interval(1,2)"], ["optimized_metric=null", "test.elbo"]),
        (["optimized_metric=elbo", "beta=interval(1,2)"], ["optimized_metric='elbo'", "test.NAME"]),
        (["optimized_metric=tset.elbo", "beta=interval(1,2)"], ["did you mean 'test'?"]),
        (["bta=interval(1,2)"], ["a job of the search (", "unknown key 'bta'", "did you mean 'beta'"]),
        (["lr=interval(0,1)"], ["lr=0.0", "above 0"]),
        (["lr=interval(-1,1)"], ["lr=-1.0", "above 0"]),
        (["beta=interval(1,2)", "seed=1.5"], ["seed=1.5"]),
        (["objective=hfvae,beta_vae", "gamma=interval(1,2)"], ["objective=beta_vae", "unknown key 'gamma'"]),
        (["beta=interval(1,2)", "hydra.sweeper.direction=[minimize,maximize]"], ["hydra.sweeper.direction=", "one"]),
        (["beta=interval(1,2)", "resume=elsewhere"], ["resume=elsewhere"]),
    ],
)
def test_a_search_is_refused_before_its_first_trial(
    argv: list[str], parts: list[str], build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, *SEARCH, *argv)
    for part in parts:
        assert part in line
    assert not build.ran
    assert not list(workplace.iterdir())


def test_what_needs_torch_is_checked_before_the_first_trial(
    build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(config: Config) -> None:
        if config.knobs["beta"] == 12:
            raise DataError("no such file")

    build.on_check = check
    assert refused(capsys, *SEARCH, "beta=interval(1,12)").endswith("beta=12.0): no such file")
    assert not build.ran
    assert not list(workplace.iterdir())


def test_a_grid_goes_on_without_its_metric(build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", "beta=1,2", "optimized_metric=test.ebo"]) == 2
    assert len(build.ran) == 2
    assert not list(Path("outputs").rglob("status.json"))


def test_the_metric_is_no_part_of_the_run(build: FakeBuild) -> None:
    assert run_name(["beta=1", "optimized_metric=test.elbo"]) == run_name(["beta=1"])
    assert main(["-m", "beta=1,2"]) == 0
    assert main(["-m", "beta=1,2", "optimized_metric=test.elbo", "resume=auto"]) == 0
    assert len(build.ran) == 2


def test_a_number_by_its_path(tmp_path: Path) -> None:
    leave_metrics(tmp_path, {"elbo": -3, "kl_per_factor": {"style[0]": 0.5}, "mig": None, "mig_why": "no factors"})
    assert optimized(tmp_path, "test.elbo") == -3.0
    assert optimized(tmp_path, "test.kl_per_factor.style[0]") == 0.5
    with pytest.raises(NoSuchMetric, match=r"test\.kl_per_factor: not in .*did you mean 'test\.kl_per_factor\.style"):
        optimized(tmp_path, "test.kl_per_factor")
    with pytest.raises(ConfigError, match=r"test\.mig is null in .*metrics\.json \(no factors\); expected a number"):
        optimized(tmp_path, "test.mig")
    with pytest.raises(ConfigError, match="is 'no factors' in"):
        optimized(tmp_path, "test.mig_why")


def test_samples_reach_every_end_and_choice() -> None:
    overrides = parse_overrides(["beta=interval(1,12)", "lr=1e-3", "model=a,b,c", "seed=range(3,9)"])
    first = {"beta": "1.0", "lr": "0.001", "model": "a", "seed": "3"}
    jobs = [dict(text.split("=") for text in job) for job in samples(overrides)]
    others = [{"beta": "12.0"}, {"model": "b"}, {"model": "c"}, {"seed": "8"}]
    assert jobs == [first, *({**first, **other} for other in others)]

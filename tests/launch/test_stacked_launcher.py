"""`hydra/launcher=stacked`: which jobs go together, what the others say, and what the sweep ends with."""

import copy
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from comparing import history, metrics
from launching import FakeBuild, compose, fails, leave_run, refused, resolved

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.errors import ConfigError, Diverged
from hfvae_runner.launch import main, plugins, run_name
from hfvae_runner.launch.stacking import Job, Launch, kind_of, shared_out
from hfvae_runner.runs.group import Ended, StackCapacity

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own and its dependencies' imports
    import optuna  # noqa: F401

pytestmark = pytest.mark.usefixtures("workplace")

STACKED = ("-m", "hydra/launcher=stacked", "hydra.sweep.dir=sweep")


class FakeTogether(ModuleType):
    """Stands in for `hfvae_runner.runs.group`: remembers which jobs it was given, and leaves their runs finished.

    Attributes:
        groups: the configs of each.
        found: what is said of any kind of job.
        on_run: called with each config; what it returns ended that job.
        on_group: called with each group first; may raise.
    """

    def __init__(self, build: FakeBuild) -> None:
        super().__init__("hfvae_runner.runs.group")
        self.build = build
        self.groups: list[list[Config]] = []
        self.found = StackCapacity(None, most=100)
        self.on_run: Callable[[Config], Exception | None] = lambda config: None
        self.on_group: Callable[[Sequence[Config]], None] = lambda configs: None

    def stack_capacity(self, config: Config) -> StackCapacity:
        return self.found

    def run_stacked(self, runs: Sequence[tuple[Config, Path]], ended: Ended) -> None:
        self.groups.append([config for config, _ in runs])
        self.on_group(self.groups[-1])
        for index, (config, folder) in enumerate(runs):
            error = self.on_run(config)
            if error is None:
                leave_run(folder, dict(config.resolved), finished=True)
                metrics = json.loads((folder / "metrics.json").read_text())
                metrics["test"] = {"elbo": -config.knobs["beta"]}  # type: ignore[operator]
                (folder / "metrics.json").write_text(json.dumps(metrics))
            ended(index, error)

    def stacked(self, key: str) -> list[list[object]]:
        """What each group's jobs have under a key of the config."""
        return [[config.resolved.get(key) for config in group] for group in self.groups]


@pytest.fixture
def group(build: FakeBuild, monkeypatch: pytest.MonkeyPatch) -> FakeTogether:
    fake = FakeTogether(build)
    monkeypatch.setitem(sys.modules, "hfvae_runner.runs.group", fake)
    return fake


def alone(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was said of jobs that run alone."""
    return [line for line in capsys.readouterr().err.splitlines() if " runs alone: " in line]


def test_seeds_rates_and_weights_go_together(group: FakeTogether, build: FakeBuild) -> None:
    assert main([*STACKED, "seed=0,1", "lr=1e-3,1e-2"]) == 0
    assert not build.ran
    assert group.stacked("seed") == [[0, 0, 1, 1]]
    assert group.stacked("lr") == [[1e-3, 1e-2, 1e-3, 1e-2]]
    assert len(build.checked) == 4
    names = {run_name([f"seed={seed}", f"lr={lr}"]) for seed in (0, 1) for lr in ("1e-3", "1e-2")}
    assert {path.name for path in Path("sweep").iterdir() if path.is_dir()} == names


@pytest.fixture(scope="module")
def spec() -> dict[str, object]:
    """A resolved config, whose supervision is at work."""
    return resolved("objective=hfvae", "supervision.fraction=0.1")


@pytest.mark.parametrize(
    ("path", "value", "together"),
    [
        ("seed", 5, True),
        ("lr", 0.5, True),
        ("gamma", 7, True),
        ("objective.terms.within_tc", 7, True),
        ("objective.terms.within_tc", {"linear": [0, 4, 9]}, True),
        ("supervision.weight", 2.0, True),
        # What weighs nothing at any step is left out, and the program is another one.
        ("objective.terms.within_tc", 0, False),
        ("objective.terms.within_tc", {"linear": [0, 0, 9]}, True),
        ("supervision.weight", 0.0, False),
        ("objective.terms.within_tc", {"pi_control": {"target": 3}}, False),
        ("objective.terms.within_tc", {"term": "within_tc", "weight": 1, "target": 3}, False),
        ("objective.terms.within_tc", {"term": "within_tc", "weight": 1, "blocks": ["style"]}, False),
        ("objective.estimator", "mws", False),
        ("objective.discrete_density", "enumerate", False),
        ("supervision.fraction", 0.2, False),
        ("supervision.factor_weight", 2.0, True),
        ("supervision.factor_weight", 0.0, False),
        ("supervision.factor_examples", 10, False),
        ("batch_size", 7, False),
        ("steps", 7, False),
        ("prior.size", 7, False),
        ("train.betas", [0.5, 0.9], False),
    ],
)
def test_which_jobs_are_of_one_kind(
    path: str, value: object, together: bool, spec: dict[str, object], tmp_path: Path
) -> None:
    other = copy.deepcopy(spec)
    section: Any = other
    *parents, key = path.split(".")
    for parent in parents:
        section = section[parent]
    section[key] = value
    kinds = [kind_of(schema.parse(each), tmp_path) for each in (spec, other)]
    assert (kinds[0] == kinds[1]) == together


@pytest.mark.parametrize(
    ("settings", "together"),
    [({"target": {"linear": [0, 3, 9]}, "k_p": 1, "least": 1, "most": 5}, True), ({"target": 3, "window": 2}, False)],
)
def test_controllers_are_of_one_kind_but_for_their_windows(
    settings: dict[str, object], together: bool, spec: dict[str, Any], tmp_path: Path
) -> None:
    kinds = []
    for each in ({"target": 3}, settings):
        terms = {**spec["objective"]["terms"], "within_tc": {"pi_control": each}}
        kinds.append(kind_of(schema.parse({**spec, "objective": {**spec["objective"], "terms": terms}}), tmp_path))
    assert (kinds[0] == kinds[1]) == together


def test_jobs_at_different_steps_are_of_different_kinds(spec: dict[str, object], tmp_path: Path) -> None:
    config = schema.parse(spec)
    new = kind_of(config, tmp_path)
    for step in (3, 12):
        leave_run(tmp_path, {}, finished=False)
        (tmp_path / "checkpoints" / f"step_{step:08d}.pt").touch()
        assert kind_of(config, tmp_path) != new
        new = kind_of(config, tmp_path)


def test_what_has_no_companion_runs_alone_and_says_why(
    group: FakeTogether, build: FakeBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*STACKED, "seed=0", "model=mlp_mnist,mlp_1200"]) == 0
    assert not group.groups
    assert [config.choices["model"] for config, _ in build.ran] == ["mlp_mnist", "mlp_1200"]
    reason = "no other job to be done differs from it in seed, lr, weights and targets only"
    assert alone(capsys) == [f"job {number} runs alone: {reason}" for number in (0, 1)]


def test_what_cannot_be_stacked_runs_alone_and_says_why(
    group: FakeTogether, build: FakeBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    group.found = StackCapacity("its model has dropout")
    assert main([*STACKED, "seed=0,1"]) == 0
    assert [config.seed for config, _ in build.ran] == [0, 1]
    assert alone(capsys) == [f"job {number} runs alone: its model has dropout" for number in (0, 1)]


def outlook(size: int | None, *overrides: str) -> tuple[str | None, int]:
    """What is in the way of five jobs of one kind, and how many of them may run together."""
    job = Job(0, compose(*overrides), Path("x"), schema.parse(resolved()))
    return Launch(None, None, None, size)._outlook([job] * 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("memory", "size", "most"), [(9, None, 9), (9, 3, 3), (2, None, 2), (2, 4, 2), (1, None, 1)])
def test_as_many_as_memory_and_size_allow(memory: int, size: int | None, most: int, group: FakeTogether) -> None:
    group.found = StackCapacity(None, memory)
    assert outlook(size) == (None, most)


def test_a_folder_or_variables_of_a_job_s_own_are_for_one_at_a_time(group: FakeTogether) -> None:
    for option in ("hydra.job.chdir=true", "+hydra.job.env_set.A=1"):
        obstacle, most = outlook(None, option)
        assert obstacle is not None and "hydra.job.chdir" in obstacle
        assert most == 1


def test_shared_out_evenly() -> None:
    assert [len(part) for part in shared_out(list(range(10)), 4)] == [3, 3, 4]  # type: ignore[arg-type]
    assert [len(part) for part in shared_out(list(range(3)), 1)] == [1, 1, 1]  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "parts"), [("1", ["size=1", "from 2 on"]), ("many", ["many"])])
def test_a_size_that_is_none(
    size: str, parts: list[str], group: FakeTogether, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, *STACKED, "seed=0,1", f"hydra.launcher.size={size}")
    assert all(part in line for part in parts)
    assert not list(workplace.iterdir())


def test_the_first_failed_job_in_grid_order_decides_whenever_it_ended(
    group: FakeTogether, build: FakeBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    """Jobs 0 and 2 are of one kind, and run first; job 1 is alone, and so is job 3."""
    group.on_run = lambda config: Diverged("kl not finite") if config.seed == 0 else None
    build.on_run = fails(ConfigError("alone"))
    assert main([*STACKED, "seed=0,1", "gamma=0,1", "hydra.sweep.dir=a"]) == 3
    told = capsys.readouterr().err
    assert "error: kl not finite" in told
    assert "Traceback" not in told
    status = Path("a") / run_name(["gamma=0", "seed=0"]) / "status.json"
    assert json.loads(status.read_text()) == {"status": "diverged", "reason": "kl not finite", "exit_code": 3}
    assert not status.with_name("metrics.json").exists()
    # Job 0 is alone, and fails after job 1 has.
    group.on_run = lambda config: Diverged("kl not finite")
    assert main([*STACKED, "gamma=0,1,2", "hydra.sweep.dir=b"]) == 2


def test_what_is_wrong_with_the_whole_group_is_wrong_with_each(group: FakeTogether) -> None:
    def exhaust(configs: Sequence[Config]) -> None:
        raise ConfigError("not enough memory")

    group.on_group = exhaust
    assert main([*STACKED, "seed=0,1"]) == 2
    statuses = [json.loads(path.read_text()) for path in Path("sweep").glob("*/status.json")]
    assert [status["reason"] for status in statuses] == ["not enough memory"] * 2


def test_a_signal_ends_the_sweep(group: FakeTogether, build: FakeBuild) -> None:
    def end(configs: Sequence[Config]) -> None:
        raise SystemExit(143)

    group.on_group = end
    assert main([*STACKED, "seed=0,1"]) == 143
    assert not build.ran


def test_finished_jobs_are_left_and_those_that_stand_elsewhere_are_apart(
    group: FakeTogether, build: FakeBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*STACKED, "seed=0,1"]) == 0
    cut = Path("sweep") / run_name(["seed=0"])
    (cut / "checkpoints" / "step_00000007.pt").touch()
    (cut / "metrics.json").unlink()
    capsys.readouterr()
    assert main([*STACKED, "seed=0,1,2", "resume=auto"]) == 0
    assert [config.seed for config, _ in build.ran] == [0, 2]
    assert group.stacked("seed") == [[0, 1]]
    told = capsys.readouterr().err
    assert "finished, left as it is" in told
    assert "job 0 runs alone: no other job" in told
    assert "job 2 runs alone: no other job" in told


def test_a_search_in_batches(group: FakeTogether, capsys: pytest.CaptureFixture[str]) -> None:
    search = (
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.sampler.seed=0",
    )
    asked = ("optimized_metric=test.elbo", "hydra.sweeper.direction=maximize", "beta=interval(1,12)")
    assert main([*STACKED, *search, *asked]) == 0
    assert [len(each) for each in group.groups] == [2, 2]
    betas = [config.knobs["beta"] for each in group.groups for config in each]
    best = min(float(beta) for beta in betas)  # type: ignore[arg-type]
    assert f"best of the search: {-best:.6g} with beta={best}" in capsys.readouterr().err


def test_jobs_run_here() -> None:
    assert plugins.place(compose("hydra/launcher=stacked").hydra) == "here"


def test_the_launcher_makes_no_difference(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real training; the second job diverges, the last one has another network and runs alone."""
    small = (
        "-m",
        "image_size=8",
        "metrics.figures=false",
        "metrics=[active_units]",
        "threads=1",
        "device=cpu",
        "steps=6",
    )
    grid = (*small, "batch_size=64", "objective=vae", "checkpoints.every=3", "lr=1e-3,1e9,1e-2")
    assert main([*grid, "hydra.sweep.dir=plain"]) == 3
    capsys.readouterr()
    assert main([*grid, "hydra/launcher=stacked", "hydra.sweep.dir=stacked"]) == 3
    told = capsys.readouterr().err
    assert "jobs 0, 1, 2 as one program" in told
    assert "Traceback" not in told
    for lr in ("1e-3", "1e-2"):
        name = run_name([*grid[1:], f"lr={lr}"])
        one, two = Path("plain") / name, Path("stacked") / name
        assert history(one).to_numpy() == pytest.approx(history(two).to_numpy(), rel=1e-3, abs=1e-3)
        assert metrics(two)["run"].pop("stacked") == 3
        assert metrics(one)["train"]["elbo"] == pytest.approx(metrics(two)["train"]["elbo"], rel=1e-3)
        assert metrics(two)["run"].keys() - metrics(one)["run"].keys() == {"stacked"}
    statuses = [json.loads(next(Path(sweep).glob("*/status.json")).read_text()) for sweep in ("plain", "stacked")]
    assert statuses[0] | {"reason": ""} == statuses[1] | {"reason": ""}
    assert "not finite at step 2 with lr=1e+09" in statuses[1]["reason"]

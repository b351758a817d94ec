"""The command line: names, refusals, exit codes, sweeps, resuming. Nothing trains here."""

import os
import pickle
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.types import Quote, QuotedString
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from launching import FakeBuild, leave_run, resolved

import hfvae_runner
from hfvae_runner.errors import DataError, Diverged
from hfvae_runner.launch import JobFailed, main, run_name
from hfvae_runner.schema import Config

pytestmark = pytest.mark.usefixtures("workplace")

KNOWN_KEYS = ("beta", "gamma", "objective", "train.keep", "+experiment", "prior.size")
VALUES = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.text(max_size=120).filter(lambda text: not set(text) & {"\n", "\r"})
)
OVERRIDES = st.dictionaries(st.sampled_from(KNOWN_KEYS), VALUES, max_size=5)


def spelt(overrides: dict[str, object], quote: Quote = Quote.single) -> list[str]:
    return [
        f"{key}={QuotedString(value, quote).with_quotes() if isinstance(value, str) else value}"
        for key, value in overrides.items()
    ]


def refused(capsys: pytest.CaptureFixture[str], *argv: str, exit_code: int = 2) -> str:
    """The one line of an error."""
    assert main(argv) == exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    return lines[0]


def fails(error: BaseException) -> Callable[[Config], None]:
    """A hook that raises."""

    def hook(config: Config) -> None:
        raise error

    return hook


# Names


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(OVERRIDES)
def test_a_name_is_short_and_safe(overrides: dict[str, object]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{,108}", run_name(spelt(overrides)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(OVERRIDES, OVERRIDES)
def test_different_overrides_have_different_names(one: dict[str, object], other: dict[str, object]) -> None:
    same = sorted(map(repr, one.items())) == sorted(map(repr, other.items()))
    assert (run_name(spelt(one)) == run_name(spelt(other))) == same


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(OVERRIDES)
def test_neither_order_nor_quotes_matter(overrides: dict[str, object]) -> None:
    name = run_name(spelt(overrides))
    assert run_name(spelt(overrides)[::-1]) == name
    assert run_name(spelt(overrides, Quote.double)) == name


def test_what_does_not_make_another_run_is_left_out() -> None:
    unnamed = ["resume=auto", "steps=3", "epochs=4", "device=cpu", "data_root=/x", "++debug=true", "hydra.run.dir=/y"]
    assert run_name(["beta=12", *unnamed]) == run_name(["beta=12"])
    assert run_name(unnamed) == run_name([])
    assert re.fullmatch(r"default-[0-9a-f]{8}", run_name([]))


def test_names_can_be_read() -> None:
    assert run_name(["objective=hfvae", "beta=12"]).startswith("beta-12_objective-hfvae-")
    assert run_name(["+experiment=x"]).startswith("experiment-x-")
    assert run_name(["objective='hfvae'"]) == run_name(["objective=hfvae"])
    assert run_name(["beta=1", "beta=2"]) == run_name(["beta=2"])
    assert run_name(["beta=12"]) != run_name(["beta='12'"])


# A single run


def test_a_run_starts_in_a_folder_named_after_it(build: FakeBuild) -> None:
    assert main(["objective=hfvae", "beta=7", "steps=5"]) == 0
    ((config, folder),) = build.ran
    assert folder == Path("outputs", run_name(["objective=hfvae", "beta=7"])).resolve()
    assert config.knobs["beta"] == 7
    assert config.choices["objective"] == "hfvae"
    assert config.resolved["steps"] == config.steps == 5
    assert "hydra" not in config.resolved
    assert [checked.knobs for checked in build.checked] == [config.knobs]
    assert not Path("outputs", ".hydra").exists()


def test_a_named_folder(build: FakeBuild, workplace: Path) -> None:
    assert main(["hydra.run.dir=some/where"]) == 0
    assert build.ran[0][1] == workplace / "some" / "where"


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["bta=3"], ["bta=3: unknown key 'bta'", "did you mean 'beta'"]),
        (["objctive=vae"], ["unknown key 'objctive'", "did you mean 'objective'"]),
        (["objective=hfvea"], ["objective=hfvea: no such choice", "joint_vae", "did you mean 'hfvae'"]),
        (["objective=vae", "beta=3"], ["beta=3: unknown key 'beta'"]),
        (["objective=vae", "+gamma=4"], ["gamma=4: the chosen objective has no 'gamma'", "expected one of seed"]),
        (["+foo=1"], ["foo=1: the chosen objective has no 'foo'", "alpha, beta, gamma"]),
        (["+experiment=nowhere"], ["experiment"]),
        (["+seed=3"], ["seed"]),
        (["~bta"], ["~bta: unknown key 'bta'", "did you mean 'beta'"]),
        (["train.progres=false"], ["unknown key 'progres'", "did you mean 'progress'"]),
        (["+train.progres=false"], ["train.progres: unknown key", "did you mean 'progress'"]),
        (["objective.trms.kl=3"], ["unknown key 'trms'", "did you mean 'terms'"]),
        (["+objective.terms.group_ct=3"], ["unknown term 'group_ct'", "did you mean 'group_tc'"]),
        (["seed.x=3"], ["seed.x=3: seed is a value"]),
        (["beta=four"], ["beta='four'", "a number or a schedule"]),
        (["beta={linear: [0, 4]}"], ["beta: linear takes [start, end, steps]"]),
        (["lr="], ["lr=''", "above 0"]),
        (["seed=true"], ["seed=true"]),
        (["epochs=1.5"], ["epochs=1.5"]),
        (["device=cdua"], ["did you mean 'cuda'"]),
        (["beta"], ["cannot read the override 'beta'", "KEY=VALUE"]),
        (["beta=[1"], ["cannot read the override 'beta=[1'"]),
        (["beta=1,2"], ["beta=1,2", "--multirun"]),
        (["objective=null"], ["objective=null: expected the name of a choice"]),
        (["objective=[vae,hfvae]"], ["choices.objective", "a single choice"]),
        (["~dataset"], ["choices.dataset=null"]),
        (["seed=${nope}"], ["seed", "'nope' not found"]),
        (["seed=???"], ["seed"]),
        (["hydra.run.dir=${nope}"], ["hydra.run.dir", "'nope' not found"]),
        (["hydra.run.dir=/proc/x"], ["/proc/x"]),
        (["hydra.rn.dir=x"], ["hydra.rn"]),
        (["hydra.mode=FOO"], ["FOO", "RUN, MULTIRUN"]),
        (["hydra/launcher=joblob"], ["hydra/launcher=joblob: no such choice", "basic"]),
        (["--config-name=other"], ["--config-name", "--config-dir"]),
        (["--config-dir=nowhere"], ["nowhere"]),
        (["--cfg=jbo"], ["jbo", "job"]),
        (["--what"], ["--what"]),
        (["resume=nowhere"], ["resume=nowhere: no checkpoint there"]),
        (["resume=nowhere", "-m"], ["resume=nowhere with --multirun"]),
    ],
)
def test_refused_in_one_line_and_without_a_folder(
    argv: list[str], parts: list[str], build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, *argv)
    for part in parts:
        assert part in line
    assert not build.ran
    assert not list(workplace.iterdir())


def test_a_refusal_by_the_check_leaves_no_folder(
    build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build.on_check = fails(DataError("no such file"))
    assert refused(capsys) == "error: no such file"
    assert not build.ran
    assert not list(workplace.iterdir())


def test_debug_shows_the_traceback(build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    build.on_check = fails(DataError("no such file"))
    assert main(["debug=true"]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("Traceback")
    assert captured.endswith("error: no such file\n")


def test_a_run_that_diverges_exits_with_3(build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    build.on_run = fails(Diverged("kl is nan at step 7"))
    assert refused(capsys, exit_code=3) == "error: kl is nan at step 7"


def test_a_signal_keeps_its_exit_code(build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    build.on_run = fails(SystemExit(143))
    assert main([]) == 143
    assert main(["-m", "seed=1,2"]) == 143
    assert len(build.ran) == 2


@pytest.mark.parametrize("where", ["on_check", "on_run"])
def test_a_bug_stays_a_bug(where: str, build: FakeBuild) -> None:
    setattr(build, where, fails(KeyError("bug")))
    with pytest.raises(KeyError, match="bug"):
        main([])


def test_interrupted_before_the_run(build: FakeBuild) -> None:
    build.on_check = fails(KeyboardInterrupt())
    assert main([]) == 130


@pytest.mark.parametrize("finished", [False, True])
def test_a_folder_with_a_run_is_refused(
    finished: bool, build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_run(workplace / "run", resolved(), finished=finished)
    line = refused(capsys, "hydra.run.dir=run")
    assert ("finished" if finished else "resumable") in line
    assert "resume=auto" in line
    assert not build.ran


def test_a_folder_with_other_files_is_refused(
    build: FakeBuild, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "notes.txt").touch()
    assert "notes.txt" in refused(capsys, f"hydra.run.dir={workplace}")
    assert "is a file" in refused(capsys, "hydra.run.dir=notes.txt")
    assert not build.ran


# Going on


def test_auto_starts_where_there_is_nothing(build: FakeBuild, workplace: Path) -> None:
    (workplace / "run").mkdir()
    assert main(["resume=auto", "hydra.run.dir=run"]) == 0
    assert build.ran[0][0].resume == "auto"


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
        (["threads=2"], ["threads: null → 2"]),
        (["train.log_every=7"], ["train.log_every: 50 → 7"]),
        (["bta=7"], ["bta=7: unknown key 'bta'", "did you mean 'beta'"]),
        (["train.kep=7"], ["unknown key 'kep'", "did you mean 'keep'"]),
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


# Sweeps


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


def test_a_bug_in_a_sweep_exits_with_1(build: FakeBuild) -> None:
    build.on_run = fails(KeyError("bug"))
    assert main(["-m", "seed=0,1"]) == 1


def test_a_failure_survives_the_way_between_processes() -> None:
    failure = pickle.loads(pickle.dumps(JobFailed(3)))
    assert failure.exit_code == 3


# Without torch


def in_a_process(*command: str) -> subprocess.CompletedProcess[str]:
    """The command with this very package on the path, installed or not."""
    environment = {**os.environ, "PYTHONPATH": str(Path(hfvae_runner.__file__).parents[1])}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_help_and_refusals_need_no_torch(workplace: Path) -> None:
    code = """
        import sys
        from hfvae_runner.launch import main

        codes = [main(arguments.split()) for arguments in (
            "--help", "--cfg job", "-m --cfg job", "bta=3", "objective=hfvea", "+gamma=4 objective=vae", "beta=four",
            "+objective.terms.group_ct=1", "device=cdua", "-m gama=1,2", "resume=nowhere")]
        assert codes == [0, 0] + 9 * [2], codes
        assert "torch" not in sys.modules
    """
    done = in_a_process(sys.executable, "-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    assert "objective: " in done.stdout
    assert "objective=hfvae beta=12 gamma=4" in done.stdout


def test_help_into_head(workplace: Path) -> None:
    command = f"set -o pipefail; {sys.executable} -m hfvae_runner --help | true"
    done = in_a_process("bash", "-c", command)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_module_exits_with_the_code(workplace: Path) -> None:
    done = in_a_process(sys.executable, "-m", "hfvae_runner", "bta=3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1

"""The command line: names, refusals, exit codes. Nothing trains here."""

import os
import re
import subprocess
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path

import pytest
from hydra.core.override_parser.types import Quote, QuotedString
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from launching import FakeBuild, fails, leave_run, refused, resolved

import hfvae_runner
from hfvae_runner.errors import DataError, Diverged
from hfvae_runner.launch import main, run_name

pytestmark = pytest.mark.usefixtures("workplace")

KNOWN_KEYS = ("beta", "gamma", "objective", "train.log_every", "+experiment", "prior.size")
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


# Names


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(OVERRIDES)
def test_a_name_is_short_and_safe(overrides: dict[str, object]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{,108}", run_name(spelt(overrides)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(OVERRIDES, OVERRIDES)
@example({"gamma": 0}, {"gamma": 0.0})
@example({"gamma": 12}, {"gamma": "12"})
def test_different_overrides_have_different_names(one: dict[str, object], other: dict[str, object]) -> None:
    # 12.0 is 12, but the text '12' is another value.
    whole = [
        {key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in each.items()}
        for each in (one, other)
    ]
    same = sorted(map(repr, whole[0].items())) == sorted(map(repr, whole[1].items()))
    assert (run_name(spelt(one)) == run_name(spelt(other))) == same


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
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


def test_a_number_without_a_fraction_is_a_whole_number() -> None:
    assert run_name(["batch_size=1e2"]) == run_name(["batch_size=100"])
    assert run_name(["beta=4.0"]) == run_name(["beta=4"]) != run_name(["beta=4.5"])


def test_how_a_run_is_measured_does_not_make_another_run() -> None:
    name = run_name(["seed=1"])
    assert (
        run_name(["seed=1", "metrics=all", "metrics.figures=false", "+metrics.mine._target_=a.b", "threads=2"]) == name
    )


def test_names_can_be_read() -> None:
    assert run_name(["objective=hfvae", "beta=12"]).startswith("beta-12_objective-hfvae-")
    assert run_name(["+experiment=x"]).startswith("experiment-x-")
    assert run_name(["objective='hfvae'"]) == run_name(["objective=hfvae"])
    assert run_name(["beta=1", "beta=2"]) == run_name(["beta=2"])
    assert run_name(["beta=12"]) != run_name(["beta='12'"])
    assert run_name(["train.progress=FALSE"]).startswith("train.progress-false-")
    assert run_name(["train.progress=false"]) != run_name(["train.progress='false'"])


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
        (["dataset.pairs.factors=1"], ["dataset.pairs is set as a whole; expected 'dataset.pairs={factors: 1}'"]),
        (["objective=ada_gvae", "+dataset.pairs.factors=1"], ["expected 'dataset.pairs={factors: 1}'"]),
        (["+beta=3"], ["+beta=3: is there already; expected beta=3"]),
        (["objective.trms.kl=3"], ["unknown key 'trms'", "did you mean 'terms'"]),
        (["+objective.terms.group_ct=3"], ["unknown term 'group_ct'", "did you mean 'group_tc'"]),
        (["model.width=3"], ["unknown key 'width'", "(+model.width=3 for an option"]),
        (
            ["likelihood.scale=0.1"],
            ["the chosen likelihood has no 'scale'", "expected likelihood=auto or likelihood=gaussian or"],
        ),
        (["prior=normal", "prior.temperature=1"], ["the chosen prior has no 'temperature'", "prior=normal_concrete"]),
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
        (["resume=nowhere"], ["resume=nowhere: no run there"]),
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
            "--help", "--version", "--cfg job", "-m --cfg job", "bta=3", "objective=hfvea", "+gamma=4 objective=vae",
            "beta=four", "+objective.terms.group_ct=1", "device=cdua", "-m gama=1,2", "resume=nowhere")]
        assert codes == [0, 0, 0] + 9 * [2], codes
        assert "torch" not in sys.modules
    """
    done = in_a_process(sys.executable, "-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    assert "objective: " in done.stdout
    assert "objective=hfvae beta=12 gamma=4" in done.stdout


def test_the_version_is_this_program_s(workplace: Path) -> None:
    done = in_a_process(sys.executable, "-m", "hfvae_runner", "--version")
    assert done.returncode == 0
    expected = [
        f"hfvae_runner {hfvae_runner.__version__}",
        f"torch {version('torch')}",
        f"hydra-core {version('hydra-core')}",
    ]
    assert done.stdout.splitlines() == expected


def test_help_into_head(workplace: Path) -> None:
    command = f"set -o pipefail; {sys.executable} -m hfvae_runner --help | true"
    done = in_a_process("bash", "-c", command)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_module_exits_with_the_code(workplace: Path) -> None:
    done = in_a_process(sys.executable, "-m", "hfvae_runner", "bta=3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1

"""`divergence=`: a group that one objective brings along, on the command line, in a sweep and in the report."""

import pytest
from launching import FakeBuild, leave_run, refused, resolved

from hfvae_runner.config import schema
from hfvae_runner.errors import ConfigError
from hfvae_runner.launch import main
from hfvae_runner.report.settings import compare, settings_of

pytestmark = pytest.mark.usefixtures("workplace")

ALPHA_BETA = "objective=alpha_beta"


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["objective=vae", "divergence=mmd"], ["divergence=mmd: the chosen objective has no divergence"]),
        (["divergence=mmd"], ["expected objective=alpha_beta"]),
        ([ALPHA_BETA, "divergence=mdm"], ["divergence=mdm: no such choice", "did you mean 'mmd'"]),
        ([ALPHA_BETA, "divergence=null"], ["divergence=null: expected the name of a choice"]),
        ([ALPHA_BETA, "kernel=imq"], ["kernel=imq: unknown key 'kernel'"]),
        ([ALPHA_BETA, "divergence=mmd", "kernel=inq"], ["kernel='inq'", "did you mean 'imq'"]),
        ([ALPHA_BETA, "divergence=mmd", "statistic=w"], ["statistic='w'", "one of u, v"]),
    ],
)
def test_refused_in_one_line(
    argv: list[str], parts: list[str], build: FakeBuild, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, *argv)
    for part in parts:
        assert part in line
    assert not build.ran


def test_a_sweep_over_divergences(build: FakeBuild) -> None:
    assert main(["-m", ALPHA_BETA, "divergence=mmd,inclusive_kl,exclusive_kl", "alpha=0,5"]) == 0
    ran = [(config.choices["divergence"], config.knobs["alpha"]) for config, _folder in build.ran]
    assert ran == [(name, alpha) for name in ("mmd", "inclusive_kl", "exclusive_kl") for alpha in (0, 5)]
    assert len({folder for _config, folder in build.ran}) == 6


def test_a_sweep_over_objectives_refuses_the_one_without(build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "-m", "objective=alpha_beta,vae", "divergence=mmd")
    assert "job 1 (objective=vae divergence=mmd): divergence=mmd: the chosen objective has no divergence" in line
    assert not build.ran


def test_another_divergence_is_another_run(build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([ALPHA_BETA, "divergence=mmd", "hydra.run.dir=run"]) == 0
    ((config, folder),) = build.ran
    leave_run(folder, dict(config.resolved), finished=False)
    assert "(divergence: mmd → inclusive_kl)" in refused(capsys, "resume=run", "divergence=inclusive_kl")
    assert main(["resume=run", "divergence=mmd", "kernel=imq"]) == 0


def test_the_report_tells_them_apart() -> None:
    settings = [settings_of(resolved(ALPHA_BETA, f"divergence={name}")) for name in ("mmd", "inclusive_kl")]
    comparison = compare(settings)
    assert comparison.varying == ("divergence",)
    assert comparison.where_defined["kernel"] == "imq"
    beside = compare([settings[0], settings_of(resolved("objective=vae"))])
    assert beside.varying == ("objective",)
    assert beside.where_defined["divergence"] == "mmd"


def test_a_choice_is_a_single_name() -> None:
    spec = resolved(ALPHA_BETA)
    choices = spec["choices"]
    assert isinstance(choices, dict)
    with pytest.raises(ConfigError, match=r"choices.divergence=\['a'\]: expected the name of a single choice"):
        schema.parse({**spec, "choices": {**choices, "divergence": ["a"]}})
    with pytest.raises(ConfigError, match=r"choices.divergance: unknown key; .* did you mean 'divergence'"):
        schema.parse({**spec, "choices": {**choices, "divergance": "mmd"}})

"""``--help``: every group, choice and knob, from conf/ and the config's types; narrow terminals; unknown names."""

import pytest
from launching import refused

from hfvae_runner.config.schema import SETTINGS
from hfvae_runner.launch import help, main
from hfvae_runner.launch.composition import config_folder

FOLDERS = sorted(path.name for path in config_folder().iterdir() if path.is_dir())


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["--help", *arguments]) == 0
    out: str = capsys.readouterr().out
    return out


def test_the_overview_has_every_choice_and_setting(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys)
    words = set(out.replace(",", " ").split())
    # A group with a single choice is nothing to choose from.
    chosen_from = [folder for folder in FOLDERS if len(list((config_folder() / folder).glob("*.yaml"))) > 1]
    assert set(chosen_from) == set(help.GROUPS)
    for group in help.GROUPS:
        assert f"  {group}: " in out
        assert {path.stem for path in (config_folder() / group).glob("*.yaml")} <= words
    assert set(SETTINGS) <= words
    assert {"supervision.fraction", "train.betas", "runtime.graph", "checkpoints.keep", "metrics.every"} <= words


@pytest.mark.parametrize("columns", [30, 80, 200])
def test_it_fits_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    listed = said(capsys, "metrics")
    assert max(map(len, listed.splitlines()[1:])) <= max(44, min(columns, 110))
    if columns >= 80:
        assert max(map(len, said(capsys).splitlines())) <= min(columns, 110)


@pytest.mark.parametrize("group", help.GROUPS)
def test_each_choice_says_what_it_is(
    group: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    lines = said(capsys, group).splitlines()
    for path in (config_folder() / group).glob("*.yaml"):
        place = next(
            at for at, line in enumerate(lines) if line.startswith(f"  {path.stem} ") or line == f"  {path.stem}"
        )
        about = lines[place].removeprefix(f"  {path.stem}").strip() or lines[place + 1].strip()
        assert len(about) > 10, path
    assert not any("@package" in line or "yaml-language-server" in line for line in lines)


def test_a_choice_shows_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "objective=hfvae", "+experiment=hfvae_mnist")
    assert "objective=hfvae\n" in out and "+experiment=hfvae_mnist\n" in out
    assert "HFVAE (Esmaeili et al. 2018, arXiv 1804.02086, Eq. 4)" in " ".join(out.split())
    assert "gamma: 4.0            # total correlation within groups" in out
    assert "@package" not in out


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("objetive", "--help objetive: expected nothing, or one of dataset, objective"),
        ("objective=hfvea", "did you mean 'hfvae'"),
        ("seed=3", "--help seed=3: expected nothing, or one of dataset"),
    ],
)
def test_unknown_names(topic: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, "--help", topic)

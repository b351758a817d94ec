"""The table of choices among seeds: which run each criterion chooses, and what that costs."""

from pathlib import Path

import pytest
from reporting import config, leave, metrics

from hfvae_runner.report import main
from hfvae_runner.report.choice import chosen
from hfvae_runner.report.collect import collect, look
from hfvae_runner.report.settings import compare
from hfvae_runner.report.table import group


def runs(home: Path, udr: bool = True) -> None:
    """Two settings of three seeds: the ELBO chooses the worst of the first, UDR the best."""
    for beta, seed, elbo, agreement, mig in (
        (1, 0, -90.0, 0.1, 0.05),
        (1, 1, -95.0, 0.9, 0.45),
        (1, 2, -99.0, 0.5, 0.25),
        (4, 0, -110.0, 0.3, 0.2),
        (4, 1, -100.0, 0.4, 0.3),
    ):
        of_udr = {"udr": agreement} if udr else {}
        measured = metrics(elbo=elbo, mig=mig, discrete_accuracy=None, **of_udr)
        leave(home / f"{beta}-{seed}", config(beta=beta, seed=seed), measured)


def settings_of(home: Path) -> list[tuple[str, ...]]:
    found = collect(look([home]), {})
    return [tuple(each) for each in chosen(group(found, compare([run.texts for run in found])))]


def test_each_criterion_chooses_its_run(tmp_path: Path) -> None:
    runs(tmp_path)
    spread = ("0.250", "0.050", "0.450", "3")
    assert settings_of(tmp_path) == [
        ("beta=1", "ELBO", "0", "MIG", "0.050", *spread),
        ("beta=1", "UDR", "1", "MIG", "0.450", *spread),
        ("beta=1", "MIG itself", "1", "MIG", "0.450", *spread),
    ], "a setting of two seeds has no choice"


def test_without_udr_there_is_no_table(tmp_path: Path) -> None:
    runs(tmp_path, udr=False)
    assert settings_of(tmp_path) == []


def test_terminal_and_page_show_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs(tmp_path)
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "  beta=1: UDR chooses seed 1: MIG 0.450, over 3 runs 0.250 [0.050, 0.450]" in printed
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Choosing among seeds</h2>" in page and "MIG itself" in page

"""The report shows metrics of the sampled test split beside those of the test split as it is."""

from pathlib import Path

from reporting import config, leave, metrics

from hfvae_runner.report import main


def runs(folder: Path, seeds: int, **sampled: object) -> str:
    for seed in range(seeds):
        own = metrics(mig=0.5 + seed / 10)
        test = own["test"]
        assert isinstance(test, dict)
        own["test_sampled"] = {**test, **{name: value + seed / 10 for name, value in sampled.items()}}  # type: ignore[operator]
        leave(folder / str(seed), config(seed=seed), own)
    assert main([str(folder)]) == 0
    return (folder / "report.html").read_text(encoding="utf-8")


def test_both_stand_in_one_row(tmp_path: Path) -> None:
    page = runs(tmp_path, 2, mig=0.1)
    assert "<h2>Sampled and as it is</h2>" in page
    section = page[page.index("<h2>Sampled") :]
    row = next(line for line in section.split("<tr>") if ">MIG<" in line)
    assert "0.550 [0.500, 0.600]" in row and "0.150 [0.100, 0.200]" in row
    assert "test_sampled/mig" in (tmp_path / "results.csv").read_text().splitlines()[0]


def test_a_single_run_has_no_bounds(tmp_path: Path) -> None:
    section = runs(tmp_path, 1, mig=0.1).partition("<h2>Sampled")[2]
    row = next(line for line in section.split("<tr>") if ">MIG<" in line)
    assert "[" not in row and "0.1" in row


def test_without_sampling_there_is_no_table(tmp_path: Path) -> None:
    leave(tmp_path / "a", config(), metrics())
    assert main([str(tmp_path)]) == 0
    assert "Sampled and as it is" not in (tmp_path / "report.html").read_text(encoding="utf-8")

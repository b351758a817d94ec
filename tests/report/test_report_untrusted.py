"""Run folders whose files nobody vouches for: a row that says so, and never a traceback."""

import json
import os
import zlib
from pathlib import Path

import pytest
import yaml
from PIL import Image, PngImagePlugin
from reporting import config, leave, metrics, rows

from hfvae_runner.errors import DataError
from hfvae_runner.report import main, pictures, plots
from hfvae_runner.report.collect import collect, look

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
CHOICES = yaml.safe_dump({"choices": config()["choices"]})


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of a report's time."""
    monkeypatch.setattr(plots, "plots", lambda settings: iter(()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CHOICES + BOMB, "holds more than 1000000 values"),
        (CHOICES + "a: &a {b: *a}", "nested deeper than 40 times"),
        (CHOICES + "a: " + "[" * 5000 + "]" * 5000, "config.yaml is not YAML"),
        (CHOICES + "a: !!bool x", "config.yaml is not YAML"),
        (CHOICES + "a: !!int ''", "config.yaml is not YAML"),
        (CHOICES + "a: 2001-99-99", "config.yaml is not YAML"),
        (CHOICES + "a: " + "9" * 5000, "config.yaml is not YAML"),
        (CHOICES + "a: !!python/object/apply:os.system [exit]", "config.yaml is not YAML"),
        (CHOICES + "#" * (1 << 20), "config.yaml has 104"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_figures")
def test_a_config_beyond_all_measure_is_unreadable(tmp_path: Path, text: str, reason: str) -> None:
    (leave(tmp_path / "run", {}, metrics()) / "config.yaml").write_text(text)
    assert main([str(tmp_path)]) == 0
    (row,) = rows(tmp_path)
    assert row["status"] == "unreadable"
    assert reason in row["reason"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("metrics.json", '{"a":' * 100_000, "metrics.json is not JSON"),
        ("metrics.json", '{"a":' * 50 + "1" + "}" * 50, "nested deeper than 40 times"),
        ("metrics.json", '{"a": ' + "9" * 5000 + "}", "metrics.json is not JSON"),
        ("metrics.json", '"ÿ"', "metrics.json holds str"),
        ("status.json", '{"status": "completed", "reason": ""}', "'completed'; expected one of failed, diverged"),
        ("status.json", '{"status": ["failed"], "reason": ""}', "does not say status and reason"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_figures")
def test_results_beyond_all_measure_are_unreadable(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (leave(tmp_path / "run", config()) / name).write_text(text)
    assert main([str(tmp_path)]) == 0
    (row,) = rows(tmp_path)
    assert row["status"] == "unreadable"
    assert reason in row["reason"]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = leave(tmp_path / "run", config())
    with (run / "metrics.json").open("wb") as stream:
        stream.truncate(1 << 40)
    (found,) = collect(look([tmp_path]), {})
    assert (found.status, found.reason) == (
        "unreadable", "metrics.json has 1099511627776 bytes; expected at most 33554432",
    )  # fmt: skip


def test_numbers_of_any_size_make_a_report(tmp_path: Path) -> None:
    """Squares and sums of some of them are beyond any number."""
    odd = [1e308, -1e308, 5e-324, 10**400, True, "12", [1.0], {"a": 1}, None, 1e99]
    for seed, value in enumerate(odd):
        found = metrics(elbo=value, reconstruction=value, mig=value, total_correlation=value, label_information=value)
        leave(tmp_path / str(seed), config(seed=seed, beta=value, gamma=seed % 2), json.dumps(found))
    for seed, text in enumerate(("1e999", "-1e999")):
        run = leave(tmp_path / f"x{seed}", config(seed=seed), metrics(elbo=0.123456))
        (run / "metrics.json").write_text((run / "metrics.json").read_text().replace("0.123456", text))
    assert main([str(tmp_path)]) == 0
    assert {row["status"] for row in rows(tmp_path)} == {"completed"}


@pytest.mark.usefixtures("no_figures")
def test_text_that_steers_a_terminal_is_spelt_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave(tmp_path / "a\x1b[2J", config(objective="\x1b]0;x\x07"), metrics())
    leave(tmp_path / "b", config(beta="\ud800"), '{"\\ud800": 1}')
    leave(tmp_path / "c", config(), status={"status": "failed", "reason": "\x1b[31m\u0085\ud800"})
    assert main([str(tmp_path)]) == 0
    shown = "".join(capsys.readouterr())
    written = "".join((tmp_path / name).read_text() for name in ("results.csv", "settings.csv", "report.html"))
    assert not {"\x1b", "\x07", "\x85"} & set(shown + written)
    assert r"\x1b[31m\x85\ud800" in shown
    assert r"\x1b]0;x\x07" in written


# Pictures


def test_a_picture_is_not_unpacked_past_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (10_000, 4_001)).save(path)
    with pytest.raises(DataError, match="10000 × 4001 pixels; expected at most 40000000"):
        pictures.thumbnail(path, 100)
    Image.new("1", (10_000, 4_000)).save(path)
    assert pictures.thumbnail(path, 100)[1:] == (100, 40)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "traversals.png")
    with pytest.raises(DataError, match="it is no file"):
        pictures.thumbnail(tmp_path / "traversals.png", 100)
    with pytest.raises(DataError, match="it is no file"):
        pictures.thumbnail(tmp_path / "missing.png", 100)


def test_text_in_a_picture_is_not_unpacked_past_its_limit(tmp_path: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000)))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=notes)
    with pytest.raises(DataError, match=r"a.png cannot be read"):
        pictures.thumbnail(tmp_path / "a.png", 100)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "RGBA"])
def test_any_kind_of_picture_has_a_thumbnail(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (90, 60)).save(tmp_path / "a.png")
    jpeg, width, height = pictures.thumbnail(tmp_path / "a.png", 30)
    assert (width, height) == (30, 20)
    assert jpeg.startswith(b"\xff\xd8")

import json
import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from tqdm import tqdm

from hfvae_runner.errors import CheckpointError, Diverged, StorageError
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.run_folder import RunFolder, write_metrics

CONFIG: dict[str, object] = {
    "seed": 0,
    "lr": 1e-5,
    "steps": None,
    "data_root": "a b/é",
    "knobs": {"beta": {"linear": [0, 4.5, 1000]}, "yes": True, "text": "1e-3", "on": "on"},
}
log = logging.getLogger("hfvae_runner.somewhere")


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def with_checkpoint(path: Path) -> Path:
    RunFolder.create(path, CONFIG).close()
    (path / "checkpoints" / "last.pt").write_bytes(b"whole")
    return path


def test_needs_neither_torch_nor_pandas() -> None:
    code = "import sys, hfvae_runner.storage.run_folder; print({'torch', 'pandas', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


class TestStanding:
    def test_each(self, tmp_path: Path) -> None:
        path = tmp_path / "run"
        assert run_folder.inspect(path) == "absent"
        path.mkdir()
        assert run_folder.inspect(path) == "leftover"
        RunFolder.create(path, CONFIG).close()
        assert run_folder.inspect(path) == "leftover"
        (path / "checkpoints" / "last.pt").touch()
        assert run_folder.inspect(path) == "resumable"
        (path / "metrics.json").touch()
        assert run_folder.inspect(path) == "finished"

    def test_a_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "run"
        path.touch()
        with pytest.raises(CheckpointError, match="run is a file"):
            run_folder.inspect(path)


class TestConfig:
    def test_round_trip(self, tmp_path: Path) -> None:
        RunFolder.create(tmp_path, CONFIG).close()
        assert run_folder.load_config(tmp_path) == CONFIG
        assert list(run_folder.load_config(tmp_path)) == list(CONFIG)

    plain = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("aβ:# -1e\n'", max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    )

    @settings(max_examples=50)
    @example(config={"a": "\x85"})
    @given(config=st.dictionaries(st.text("abc_", min_size=1), plain, max_size=4))
    def test_any_plain_value_reads_back_equal(
        self, tmp_path_factory: pytest.TempPathFactory, config: dict[str, object]
    ) -> None:
        path = tmp_path_factory.mktemp("run")
        RunFolder.create(path, config).close()
        assert run_folder.load_config(path) == config

    @pytest.mark.parametrize(
        ("content", "message"), [(b"a: [1", "is not YAML"), (b"- 1\n", "holds list"), (b"\xff\xfe\xfa", "is not YAML")]
    )
    def test_malformed(self, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "config.yaml").write_bytes(content)
        with pytest.raises(CheckpointError, match=message) as caught:
            run_folder.load_config(tmp_path)
        assert "\n" not in str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"config\.yaml is missing"):
            run_folder.load_config(tmp_path / "nowhere")

    def test_nothing_is_executed(self, tmp_path: Path) -> None:
        witness = tmp_path / "witness"
        (tmp_path / "config.yaml").write_text(f"a: !!python/object/apply:os.mkdir ['{witness}']\n")
        with pytest.raises(CheckpointError):
            run_folder.load_config(tmp_path)
        assert not witness.exists()


class TestCreate:
    def test_clears_the_leftovers_of_a_killed_run(self, tmp_path: Path) -> None:
        with RunFolder.create(tmp_path, {"seed": 7}) as run:
            run.history.append({"step": 1})
            run.save_figure("old", Figure())
            log.info("old")
        (tmp_path / ".metrics.json.tmp").touch()
        (run.checkpoints / ".step_00000002.pt.tmp").touch()
        run_folder.write_status(tmp_path, "failed", "killed", 1)
        RunFolder.create(tmp_path, CONFIG).close()
        files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
        assert files == {"config.yaml", "run.log", "checkpoints", "figures"}
        assert (tmp_path / "run.log").read_text() == ""
        assert run_folder.load_config(tmp_path) == CONFIG

    @pytest.mark.parametrize("name", ["thesis.tex", "checkpoints/mine.pt", "figures/mine.pdf", "data/x.png", ".git"])
    def test_refuses_foreign_files_and_leaves_all(self, tmp_path: Path, name: str) -> None:
        RunFolder.create(tmp_path, {"seed": 7}).close()
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        with pytest.raises(CheckpointError, match=r"thesis.tex|mine|data|\.git"):
            RunFolder.create(tmp_path, CONFIG)
        assert (tmp_path / name).exists()
        assert run_folder.load_config(tmp_path) == {"seed": 7}

    @pytest.mark.parametrize("name", ["checkpoints/last.pt", "metrics.json"])
    def test_refuses_a_run(self, tmp_path: Path, name: str) -> None:
        RunFolder.create(tmp_path, {"seed": 7}).close()
        (tmp_path / name).touch()
        with pytest.raises(CheckpointError, match="resume=auto"):
            RunFolder.create(tmp_path, CONFIG)
        assert (tmp_path / name).exists()
        assert run_folder.load_config(tmp_path) == {"seed": 7}

    def test_an_unusable_place_is_explained(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(CheckpointError, match="cannot be written: Not a directory"):
            RunFolder.create(tmp_path / "file" / "run", CONFIG)


class TestReopen:
    def test_raises_the_steps_and_takes_back_the_results(self, tmp_path: Path) -> None:
        with_checkpoint(tmp_path)
        (tmp_path / "metrics.json").touch()
        (tmp_path / "thesis.tex").touch()
        (tmp_path / "checkpoints" / ".step_00000001.pt.tmp").touch()
        run_folder.write_status(tmp_path, "failed", "killed", 1)
        RunFolder.reopen(tmp_path, {**CONFIG, "steps": 9}).close()
        assert run_folder.load_config(tmp_path)["steps"] == 9
        assert run_folder.inspect(tmp_path) == "resumable"
        assert not (tmp_path / "status.json").exists()
        assert os.listdir(tmp_path / "checkpoints") == ["last.pt"]
        assert (tmp_path / "thesis.tex").exists()

    def test_stopped_within_it_counts_as_resumable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with_checkpoint(tmp_path)
        (tmp_path / "metrics.json").touch()
        monkeypatch.setattr(os, "replace", no_space)
        with pytest.raises(StorageError, match="cannot be written: No space left"):
            RunFolder.reopen(tmp_path, {**CONFIG, "steps": 9})
        assert run_folder.inspect(tmp_path) == "resumable"
        assert run_folder.load_config(tmp_path) == CONFIG

    def test_without_a_checkpoint(self, tmp_path: Path) -> None:
        RunFolder.create(tmp_path, CONFIG).close()
        with pytest.raises(CheckpointError, match=r"last\.pt is missing"):
            RunFolder.reopen(tmp_path, CONFIG)


class TestLog:
    def test_holds_what_the_terminal_showed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with RunFolder.create(tmp_path, CONFIG):
            log.info("table\n  β %d", 4)
            log.warning("careful")
            log.debug("hidden")
        log.info("after the end")
        assert (tmp_path / "run.log").read_text("utf-8") == "table\n  β 4\ncareful\n"
        assert capsys.readouterr().err == "table\n  β 4\ncareful\n"

    def test_is_continued(self, tmp_path: Path) -> None:
        with RunFolder.create(tmp_path, CONFIG):
            log.info("first")
        (tmp_path / "checkpoints" / "last.pt").touch()
        with RunFolder.reopen(tmp_path, CONFIG):
            log.info("second")
        assert (tmp_path / "run.log").read_text() == "first\nsecond\n"

    def test_lines_stand_above_a_progress_bar(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with RunFolder.create(tmp_path, CONFIG), tqdm(total=3, file=sys.stderr) as bar:
            bar.update()
            capsys.readouterr()
            log.info("between")
            shown = capsys.readouterr().err
        # The bar is blanked, the line has a row of its own, the bar is drawn again below it.
        blank, line, again = shown.replace("\r", "\0").partition("between\n")
        assert not blank.replace("\0", "").strip()
        assert line
        assert "1/3" in again
        assert (tmp_path / "run.log").read_text() == "between\n"

    @pytest.mark.parametrize(
        ("error", "expected"), [(Diverged("kl is nan"), "error: kl is nan\n"), (KeyError("bug"), "KeyError: 'bug'\n")]
    )
    def test_ends_with_the_error(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception, expected: str
    ) -> None:
        with pytest.raises(type(error)), RunFolder.create(tmp_path, CONFIG):
            raise error
        text = (tmp_path / "run.log").read_text()
        assert text.endswith(expected)
        assert text.startswith("error: kl" if isinstance(error, Diverged) else "Traceback")
        assert capsys.readouterr().err == ""

    def test_closing_twice_leaves_no_handler(self, tmp_path: Path) -> None:
        before = list(logging.getLogger("hfvae_runner").handlers)
        run = RunFolder.create(tmp_path, CONFIG)
        run.close()
        run.close()
        assert logging.getLogger("hfvae_runner").handlers == before


class TestMetrics:
    def test_strict_json(self, tmp_path: Path) -> None:
        metrics = {"schema": 1, "test": {"elbo": -1.5, "mig": None, "β": [0.1, 2]}}
        with RunFolder.create(tmp_path, CONFIG) as run:
            write_metrics(run.path, metrics)
        text = (tmp_path / "metrics.json").read_text("utf-8")
        assert json.loads(text) == metrics
        assert '\n "test"' in text
        assert run_folder.inspect(tmp_path) == "finished"

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float64("nan")])
    @pytest.mark.parametrize(
        ("wrap", "place"),
        [
            (lambda bad: {"elbo": bad}, "elbo is"),
            (lambda bad: {"test": {"kl": {"style[0]": 0.0, "style[1]": bad}}}, r"test.kl.style\[1\] is"),
            (lambda bad: {"test": {"table": [[0.0], (1.0, bad)]}}, r"test.table\[1\]\[1\] is"),
        ],
    )
    def test_a_number_not_finite_is_named_and_nothing_written(
        self, tmp_path: Path, wrap: Callable[[float], dict[str, object]], bad: float, place: str
    ) -> None:
        with RunFolder.create(tmp_path, CONFIG) as run, pytest.raises(ValueError, match=place):
            write_metrics(run.path, wrap(bad))
        assert not (tmp_path / "metrics.json").exists()


def test_figure(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, CONFIG) as run:
        run.save_figure("traversals", Figure(figsize=(2, 1)))
    png = (tmp_path / "figures" / "traversals.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) == 300
    assert int.from_bytes(png[20:24]) == 150


def test_status_of_a_job_that_made_no_folder(tmp_path: Path) -> None:
    run_folder.write_status(tmp_path / "sweep" / "job", "diverged", "kl is nan", 3)
    content = json.loads((tmp_path / "sweep" / "job" / "status.json").read_text())
    assert content == {"status": "diverged", "reason": "kl is nan", "exit_code": 3}
    assert run_folder.inspect(tmp_path / "sweep" / "job") == "leftover"

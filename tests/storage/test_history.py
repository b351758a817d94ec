import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfvae_runner.errors import StorageError
from hfvae_runner.storage.history import Evaluations, History


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


class TestHistory:
    @given(value=st.floats(allow_nan=False))
    def test_floats_read_back_to_the_bit(self, tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
        history = History(tmp_path_factory.mktemp("run") / "history.csv")
        history.append({"step": 10, "kl, style[0]": value})
        frame = history.read()
        history.close()
        assert float(frame["kl, style[0]"][0]).hex() == value.hex()
        assert frame["step"].dtype == np.int64

    def test_numpy_numbers_and_gaps(self, tmp_path: Path) -> None:
        history = History(tmp_path / "history.csv")
        history.append({"step": 3, "a": np.float64(0.1), "b": math.nan, "c": math.inf})
        history.close()
        assert (tmp_path / "history.csv").read_text() == "step,a,b,c\n3,0.1,nan,inf\n"
        row = history.read().iloc[0]
        assert math.isnan(row["b"])
        assert row["c"] == math.inf

    def test_a_row_is_there_at_once(self, tmp_path: Path) -> None:
        history = History(tmp_path / "history.csv")
        assert history.read().empty
        history.append({"step": 1, "loss": 2.0})
        assert (tmp_path / "history.csv").read_text() == "step,loss\n1,2.0\n"
        history.close()

    @pytest.mark.parametrize("reopened", [False, True])
    def test_the_columns_are_fixed_by_the_first_row(self, tmp_path: Path, reopened: bool) -> None:
        history = History(tmp_path / "history.csv")
        history.append({"step": 1, "loss": 2.0})
        if reopened:
            history.close()
            history = History(tmp_path / "history.csv")
        history.append({"loss": 1.0, "step": 2})
        for row in ({"step": 3}, {"step": 3, "loss": 1.0, "kl": 1.0}, {"step": 3, "kl": 1.0}):
            with pytest.raises(ValueError, match="at step 3"):
                history.append(row)
        history.close()
        pd.testing.assert_frame_equal(history.read(), pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]}))

    def test_a_row_has_a_step(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="without a step"):
            History(tmp_path / "history.csv").append({"loss": 1.0})
        assert not (tmp_path / "history.csv").exists()

    def test_truncate_then_append_is_as_if_never_stopped(self, tmp_path: Path) -> None:
        straight, stopped = History(tmp_path / "a.csv"), History(tmp_path / "b.csv")
        for step in range(0, 50, 10):
            straight.append({"loss": 1 / (step + 3), "step": step})
        for step in range(0, 40, 10):
            stopped.append({"loss": 1 / (step + 3), "step": step})
        stopped.truncate(20)
        assert list(stopped.read()["step"]) == [0, 10, 20]
        for step in (30, 40):
            stopped.append({"loss": 1 / (step + 3), "step": step})
        straight.close()
        stopped.close()
        assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()

    @pytest.mark.parametrize("cut", range(len("step,loss\n10,1.5\n20,2.5\n") + 1))
    def test_a_row_cut_short_anywhere_is_dropped(self, tmp_path: Path, cut: int) -> None:
        path = tmp_path / "history.csv"
        path.write_text("step,loss\n10,1.5\n20,2.5\n"[:cut])
        history = History(path)
        history.truncate(100)
        history.append({"step": 30, "loss": 3.5})
        history.close()
        whole = [row for row, end in (("10,1.5\n", 17), ("20,2.5\n", 24)) if cut >= end]
        assert path.read_text() == "step,loss\n" + "".join(whole) + "30,3.5\n"

    def test_truncate_before_the_first_row(self, tmp_path: Path) -> None:
        history = History(tmp_path / "history.csv")
        history.truncate(0)
        assert not (tmp_path / "history.csv").exists()

    def test_a_failing_truncate_leaves_all_rows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        history = History(tmp_path / "history.csv")
        history.append({"step": 1})
        history.append({"step": 2})
        monkeypatch.setattr(os, "fsync", no_space)
        with pytest.raises(StorageError, match="No space left"):
            history.truncate(1)
        assert (tmp_path / "history.csv").read_text() == "step\n1\n2\n"


class TestEvaluations:
    def test_what_comes_after_a_step_is_dropped(self, tmp_path: Path) -> None:
        evaluations = Evaluations(tmp_path / "evaluations.jsonl")
        for step in (10, 20, 30):
            evaluations.append({"step": step, "test": {"elbo": -step / 3, "β": None}})
        with (tmp_path / "evaluations.jsonl").open("a") as stream:
            stream.write('{"step": 15, "te')
        evaluations.truncate(20)
        lines = (tmp_path / "evaluations.jsonl").read_text("utf-8").splitlines()
        assert [json.loads(line) for line in lines] == [
            {"step": step, "test": {"elbo": -step / 3, "β": None}} for step in (10, 20)
        ]

    def test_nothing_is_made_where_nothing_was_measured(self, tmp_path: Path) -> None:
        Evaluations(tmp_path / "evaluations.jsonl").truncate(3)
        assert not list(tmp_path.iterdir())

    def test_a_number_not_finite_is_named_and_not_written(self, tmp_path: Path) -> None:
        evaluations = Evaluations(tmp_path / "evaluations.jsonl")
        evaluations.append({"step": 1})
        with pytest.raises(ValueError, match=r"evaluations.jsonl: test.kl is nan"):
            evaluations.append({"step": 2, "test": {"kl": math.nan}})
        assert (tmp_path / "evaluations.jsonl").read_text() == '{"step": 1}\n'

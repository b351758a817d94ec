"""A user's own table: which columns are the vector, and what is refused by column and row."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hfvae_runner.data import Dataset
from hfvae_runner.data.table import table
from hfvae_runner.errors import ConfigError, DataError

GENERATOR = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "a": GENERATOR.normal(3, 2, 60),
        "b": GENERATOR.integers(0, 9, 60),
        "kind": ["x", "y", "z"] * 20,
        "angle": GENERATOR.random(60),
    }
)


def read(frame: pd.DataFrame, tmp_path: Path, suffix: str = "csv", **options: Any) -> Dataset:
    path = tmp_path / f"own.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)
    return table(**{"file": str(path), "root": str(tmp_path / "cache"), **options})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_that_are_no_label_and_no_factor_are_the_vector(suffix: str, tmp_path: Path) -> None:
    dataset = read(FRAME, tmp_path, suffix, label="kind", factors=["angle", "b"], standardise=False)
    assert (dataset.input_shape, dataset.values, dataset.label_names) == ((1,), "real", ("x", "y", "z"))
    assert dataset.factors is not None and dataset.factors.sizes[0] == 10
    found = torch.cat([split.x[torch.arange(len(split))] for split in (dataset.train, dataset.test)])
    np.testing.assert_allclose(np.sort(found[:, 0].numpy()), np.sort(FRAME["a"].to_numpy()), rtol=1e-6)


def test_columns_are_standardised_over_the_training_rows(tmp_path: Path) -> None:
    dataset, plain = (read(FRAME, tmp_path, label="kind", standardise=each) for each in (True, False))
    found = dataset.train.x[torch.arange(len(dataset.train))].double()
    assert found.shape == (54, 3)
    torch.testing.assert_close(found.mean(0), torch.zeros(3).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(3).double(), atol=1e-6, rtol=0)
    train, test = (split.x[torch.arange(len(split))].double() for split in (plain.train, plain.test))
    expected = (test - train.mean(0)) / train.std(0, correction=0)
    torch.testing.assert_close(dataset.test.x[torch.arange(len(test))].double(), expected, atol=1e-5, rtol=0)
    assert "standardised" in dataset.notes and "standardised" not in plain.notes


def test_a_column_that_hardly_varies_in_training_is_0(tmp_path: Path) -> None:
    frame = FRAME.assign(rare=0.1)
    training = read(frame, tmp_path, label="kind", standardise=False)
    rows = training.test.x[torch.arange(len(training.test))][:, 0].tolist()
    frame.loc[np.abs(frame["a"].to_numpy()[:, None] - rows).min(1) < 1e-6, "rare"] = 7.0
    dataset = read(frame, tmp_path, label="kind")
    found = dataset.train.x[torch.arange(len(dataset.train))]
    assert (found[:, 3] == 0).all() and found.isfinite().all()


def test_a_constant_column_cannot_be_standardised(tmp_path: Path) -> None:
    frame = FRAME.assign(one=1.0)
    with pytest.raises(DataError, match=r"there is one value only in 'one', .* expected dataset.ignore=\[one\]"):
        read(frame, tmp_path, label="kind")
    assert read(frame, tmp_path, label="kind", ignore=["one"]).input_shape == (3,)
    assert read(frame, tmp_path, label="kind", standardise=False).input_shape == (4,)


def test_factors_of_words_are_numbered(tmp_path: Path) -> None:
    dataset = read(FRAME, tmp_path, factors=["kind"])
    assert dataset.factors is not None and dataset.factors.sizes == (3,)


def test_words_have_the_same_number_in_both_tables(tmp_path: Path) -> None:
    FRAME[FRAME["kind"] != "x"].to_csv(tmp_path / "test.csv", index=False)
    dataset = read(FRAME, tmp_path, factors=["kind"], label="kind", test_file=str(tmp_path / "test.csv"))
    assert dataset.test.factors is not None and dataset.test.labels is not None
    assert dataset.test.factors[:, 0].tolist() == dataset.test.labels.tolist() == [1, 2] * 20


def test_nullable_types_of_parquet(tmp_path: Path) -> None:
    frame = FRAME.assign(b=FRAME["b"].astype("Int64"), kind=FRAME["kind"].astype("category"), yes=FRAME["a"] > 3)
    dataset = read(frame, tmp_path, "parquet", label="kind", factors=["angle"])
    assert (dataset.input_shape, dataset.label_names) == ((3,), ("x", "y", "z"))
    frame.loc[2, "b"] = pd.NA
    with pytest.raises(DataError, match="missing in column 'b', the first in row 3"):
        read(frame, tmp_path, "parquet", label="kind", factors=["angle"])


def test_a_test_table_is_scaled_as_the_first_one(tmp_path: Path) -> None:
    FRAME.head(9).to_csv(tmp_path / "test.csv", index=False)
    dataset = read(FRAME, tmp_path, label="kind", test_file=str(tmp_path / "test.csv"))
    expected = (FRAME["a"].head(9) - FRAME["a"].mean()) / FRAME["a"].std(ddof=0)
    np.testing.assert_allclose(dataset.test.x[torch.arange(9)][:, 0].numpy(), expected, rtol=1e-5)


def with_hole(column: str) -> pd.DataFrame:
    frame = FRAME.copy()
    frame.loc[4, column] = None
    return frame


@pytest.mark.parametrize(
    ("frame", "options", "error", "message"),
    [
        (with_hole("a"), {"label": "kind"}, DataError, "1 values are missing in column 'a', the first in row 5"),
        (with_hole("kind"), {"label": "kind"}, DataError, "missing in column 'kind', the first in row 5"),
        (with_hole("angle"), {"label": "kind", "factors": ["angle"]}, DataError, "missing in column 'angle'"),
        (FRAME, {}, DataError, "'kind' hold no numbers; expected numeric columns, or dataset.ignore=.kind. or"),
        (FRAME, {"label": "kin"}, ConfigError, "has no column 'kin'; .* did you mean 'kind'"),
        (FRAME, {"factors": ["anlge"], "label": "kind"}, ConfigError, "did you mean 'angle'"),
        (FRAME[["kind"]], {"label": "kind"}, DataError, "no columns left for vectors"),
        (FRAME.head(2), {"ignore": ["kind"]}, DataError, "holds 2 examples"),
        (FRAME.head(1), {"ignore": ["kind"]}, DataError, "holds 1 examples"),
        (FRAME.head(0), {"ignore": ["kind"]}, DataError, "holds no rows"),
        (FRAME.assign(a=np.inf), {"label": "kind", "standardise": False}, DataError, "column 'a' holds infinity"),
        (FRAME.assign(b=1e300), {"label": "kind"}, DataError, "column 'b' holds .* numbers beyond a float32"),
        (FRAME, {"label": "kind", "factors": ["a", "a"]}, ConfigError, "dataset.factors has 'a' twice"),
        (FRAME, {"label": "kind", "ignore": ["kind"]}, ConfigError, "dataset.ignore has 'kind', which is the label"),
        (FRAME, {"label": ["kind"]}, ConfigError, "dataset.label=.*expected some text, or null"),
        (FRAME, {"label": "kind", "factors": "a"}, ConfigError, "dataset.factors='a': expected a list of columns"),
        (FRAME, {"label": "kind", "standardise": "x"}, ConfigError, "dataset.standardise='x': expected true or false"),
        (FRAME, {"label": "kind", "test_share": "x"}, ConfigError, "dataset.test_share='x': expected a number"),
        (FRAME, {"label": "kind", "split_seed": -1}, ConfigError, "dataset.split_seed=-1: expected a whole number"),
    ],
)
def test_bad_tables(
    frame: pd.DataFrame, options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message) as refused:
        read(frame, tmp_path, **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.csv", b"", "cannot be read"),
        ("own.csv", b"a,a\n1,2\n3,4\n", "has two columns 'a'; expected different names"),
        ("own.csv", b"a,b\n1,2\n3,4,5\n", "cannot be read .*Expected 2 fields in line 3"),
        ("own.csv", b"a,b\n1,2,3\n4,5,6\n", "cannot be read .*does not match length of data"),
        ("own.csv", b"\xff\xfe\x00a", "cannot be read"),
        ("own.parquet", b"no parquet", "cannot be read"),
        ("own.txt", b"a\n1\n", "expected a file that ends in .csv or .parquet"),
    ],
)
def test_bad_files(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        table(file=str(tmp_path / name), root=str(tmp_path / "cache"))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.file is null"):
        table(file=None, root=str(tmp_path))
    with pytest.raises(DataError, match="is missing; expected a table"):
        table(file=str(tmp_path / "nowhere.csv"), root=str(tmp_path))


def test_parquet_without_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfvae_runner.data.table.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"needs pyarrow; .*hfvae_runner\[parquet\]"):
        read(FRAME, tmp_path, "parquet")

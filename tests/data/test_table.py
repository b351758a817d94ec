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
        "constant": 1.0,
    }
)


def read(frame: pd.DataFrame, tmp_path: Path, suffix: str = "csv", **options: Any) -> Dataset:
    path = tmp_path / f"own.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)
    return table(**{"file": str(path), "root": str(tmp_path / "cache"), **options})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_that_are_no_label_and_no_factor_are_the_vector(suffix: str, tmp_path: Path) -> None:
    dataset = read(FRAME, tmp_path, suffix, label="kind", factors=["angle", "b"], standardise=False)
    assert (dataset.input_shape, dataset.values, dataset.label_names) == ((2,), "real", ("x", "y", "z"))
    assert dataset.factors is not None and dataset.factors.sizes[0] == 10
    found = torch.cat([split.x[torch.arange(len(split))] for split in (dataset.train, dataset.test)])
    np.testing.assert_allclose(np.sort(found[:, 0].numpy()), np.sort(FRAME["a"].to_numpy()), rtol=1e-6)


def test_columns_are_standardised(tmp_path: Path) -> None:
    dataset = read(FRAME, tmp_path, label="kind")
    found = torch.cat([split.x[torch.arange(len(split))] for split in (dataset.train, dataset.test)]).double()
    assert found.shape == (60, 4)
    torch.testing.assert_close(found.mean(0), torch.zeros(4).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        found.std(0, correction=0), torch.tensor([1.0, 1.0, 1.0, 0.0]).double(), atol=1e-6, rtol=0
    )
    assert "standardised" in dataset.notes


def test_factors_of_words_are_numbered(tmp_path: Path) -> None:
    dataset = read(FRAME, tmp_path, factors=["kind"])
    assert dataset.factors is not None and dataset.factors.sizes == (3,)


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
        (FRAME.assign(a=np.inf), {"label": "kind", "standardise": False}, DataError, "NaN or infinity"),
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
        ("own.csv", b"a,a\n1,2\n", "expected"),
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

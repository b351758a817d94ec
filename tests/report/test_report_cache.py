"""What a report keeps of the runs: the next one is the same as without it, and reads only what has changed."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from reporting import config, leave, metrics, rows

from hfvae_runner.report import collect, main, plots
from hfvae_runner.report.runs import Run, read

KEPT = ".report.jsonl.gz"
WRITTEN = ("results.csv", "settings.csv", "report.html")


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of a report's time."""
    monkeypatch.setattr(plots, "plots", lambda settings: iter(()))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that are read from now on."""
    names: list[str] = []

    def noted(path: Path, name: str, signature: str) -> Run:
        names.append(name)
        return read(path, name, signature)

    monkeypatch.setattr(collect, "read", noted)
    return names


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two completed runs, one that failed and one that is not done, after a report; names are odd on purpose."""
    folder = tmp_path / "study"
    leave(folder / "a\x1b[2J", config(beta=1, prior__odd={True: "β\x7f", "x": [1e400, None]}), metrics(elbo=0.1))
    leave(folder / os.fsdecode(b"\xff"), config(beta=4), metrics(mig=0.3), figures=["x"])
    leave(folder / "failed", config(beta=9), status={"status": "failed", "reason": "no\nway"})
    leave(folder / "open", config(beta=16))
    assert main([str(folder)]) == 0
    return folder


def content(home: Path) -> dict[str, bytes]:
    return {name: (home / name).read_bytes() for name in WRITTEN}


def fresh(home: Path) -> dict[str, bytes]:
    """What a report writes that knows of no earlier one."""
    (home / KEPT).unlink()
    assert main([str(home)]) == 0
    return content(home)


def test_without_a_change_nothing_is_read_or_written(
    capsys: pytest.CaptureFixture[str], home: Path, reads: list[str]
) -> None:
    first = capsys.readouterr()
    before = {name: (home / name).stat().st_mtime_ns for name in (*WRITTEN, KEPT)}
    assert main([str(home)]) == 0
    assert reads == []
    assert before == {name: (home / name).stat().st_mtime_ns for name in before}
    again = capsys.readouterr()
    assert again.out == first.out
    assert again.err == first.err.replace("figures/\n", "figures/ are up to date\n")


def replaced(path: Path, text: str) -> None:
    path.write_text(text)


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "other results": (lambda home: replaced(home / "open" / "metrics.json", json.dumps(metrics(elbo=7))), ["open"]),
    "another config": (lambda home: replaced(home / "failed" / "config.yaml", "choices: 1"), ["failed"]),
    "another reason": (
        lambda home: replaced(home / "failed" / "status.json", '{"status": "diverged", "reason": "?"}'),
        ["failed"],
    ),
    "a figure": (lambda home: replaced(home / "open" / "figures" / "y.png", "?"), ["open"]),
    "a new run": (lambda home: leave(home / "new", config(beta=3), metrics()), ["new"]),
    "a run less": (lambda home: shutil.rmtree(home / "open"), []),
    "a moved run": (lambda home: (home / "open").rename(home / "moved"), ["moved"]),
    "a page less": (lambda home: (home / "report.html").unlink(), []),
    "another table": (lambda home: replaced(home / "results.csv", "mine"), []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_what_has_changed_is_read_again(home: Path, reads: list[str], change: str) -> None:
    make, expected = CHANGES[change]
    make(home)
    assert main([str(home)]) == 0
    assert reads == expected
    assert content(home) == fresh(home)


def test_what_cannot_be_read_is_tried_again(home: Path, reads: list[str]) -> None:
    (home / "open" / "config.yaml").write_text("]")
    for _ in range(2):
        assert main([str(home)]) == 0
    assert reads == ["open", "open"]


def lines(home: Path) -> list[bytes]:
    return gzip.decompress((home / KEPT).read_bytes()).splitlines(keepends=True)


def head_with(**changes: object) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [json.dumps(json.loads(lines[0]) | changes).encode() + b"\n", *lines[1:]]


def row_with(index: int, value: object) -> Callable[[list[bytes]], list[bytes]]:
    def changed(lines: list[bytes]) -> list[bytes]:
        row = json.loads(lines[2])
        row[index] = value
        return [lines[0], lines[1], json.dumps(row).encode() + b"\n", *lines[3:]]

    return changed


DEEP: list[object] = []
for _ in range(200):
    DEEP = [DEEP]
DAMAGE: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "nothing": lambda lines: [],
    "no JSON": lambda lines: [lines[0], b"{\n", *lines[2:]],
    "half a line": lambda lines: [*lines[:2], lines[2][:99]],
    "no object": lambda lines: [b"3\n", *lines[1:]],
    "another program": head_with(made_by="me"),
    "no runs": head_with(runs=[]),
    "no files": head_with(files=4),
    "no listing": head_with(listing=[["a"], 3, []]),
    "a deep listing": head_with(listing=[DEEP, [], []]),
    "another status": row_with(2, "happy"),
    "no reason": row_with(3, None),
    "a config without choices": row_with(4, {"seed": 0}),
    "a deep config": row_with(4, config(x=DEEP)),
    "metrics without sections": row_with(5, {"schema": 1}),
    "metrics of another schema": row_with(5, metrics() | {"schema": 2}),
    "a long row": lambda lines: [*lines[:2], b"[" + b"1," * 9 + b"1]\n"],
    "an unknown run": lambda lines: [*lines, lines[1].replace(b'["', b'["../../etc/')],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_of_no_consequence(home: Path, damage: str) -> None:
    (home / KEPT).write_bytes(gzip.compress(b"".join(DAMAGE[damage](lines(home)))))
    (home / "results.csv").unlink()
    assert main([str(home)]) == 0
    assert content(home) == fresh(home)


@pytest.mark.parametrize("end", [0, 1, 20, 200, -1])
def test_half_a_file_is_of_no_consequence(home: Path, end: int) -> None:
    (home / KEPT).write_bytes((home / KEPT).read_bytes()[:end])
    (home / "results.csv").unlink()
    assert main([str(home)]) == 0
    assert content(home) == fresh(home)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [os.mkfifo, zeros, dangling])
def test_what_is_no_file_is_not_opened(home: Path, make: Callable[[Path], object]) -> None:
    before = content(home)
    (home / KEPT).unlink()
    make(home / KEPT)
    assert main([str(home)]) == 0
    assert content(home) == before
    assert (home / KEPT).is_file() and not (home / KEPT).is_symlink()


def test_rows_of_a_stranger_do_not_count(home: Path, reads: list[str]) -> None:
    """As a folder comes to another place: the same bytes, of other files."""
    elsewhere = home.with_name("copy")
    shutil.copytree(home, elsewhere)
    head, *others = lines(elsewhere)
    lied = [line.replace(b'"elbo": 0.1', b'"elbo": 9.5') for line in others]
    assert lied != others
    (elsewhere / KEPT).write_bytes(gzip.compress(b"".join([head, *lied])))
    assert main([str(elsewhere)]) == 0
    assert len(reads) == 4
    assert [row["test/elbo"] for row in rows(elsewhere)] == [row["test/elbo"] for row in rows(home)]


def test_other_processes_read_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(home)
    (home / KEPT).unlink()
    monkeypatch.setattr(collect, "_SOME", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert main([str(home)]) == 0
    assert content(home) == before


def dies(path: Path, name: str, signature: str) -> Run:
    os._exit(9)


def test_a_process_that_is_killed_is_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / KEPT).unlink()
    monkeypatch.setattr(collect, "_SOME", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(collect, "read", dies)
    capsys.readouterr()
    assert main([str(home)]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: a process that read runs was killed, most likely for want of memory\n"
    assert captured.out == ""

"""scripts/data_cost.py, as a person calls it, and on small sets in the published formats."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Never

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from scripting import loaded

from hfvae_runner.data import Dataset, SparseCounts, Split, _newsgroups, cars3d, celeba, chairs, dsprites, faces3d
from hfvae_runner.data import mpi3d as mpi3d_module
from hfvae_runner.data import newsgroups20 as newsgroups
from hfvae_runner.data import shapes3d as shapes3d_module

# No smaller than the data sets' batches, but for the cars, of which a file cannot be smaller.
SIZES = {
    dsprites: (2, 3, 2, 14, 15),
    faces3d: (2, 8, 8, 16),
    cars3d: (2, 24, 4),
    chairs: (16, 2, 2),
    shapes3d_module: (1, 2, 2, 3, 4, 5),
    mpi3d_module: (2, 6, 1, 1, 3, 2, 2),
}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The script, whose scratch folders are in ``scratch``, and which writes small sets."""
    module = loaded("data_cost", monkeypatch)
    monkeypatch.setattr(module.data_files, "IDX", {"train": 600, "t10k": 100})
    monkeypatch.setattr(module, "BATCHES_FOR", 0.0)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    yield module
    HydraConfig.instance().cfg = None


@pytest.fixture
def quick(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script without processes of their own for what it measures."""
    monkeypatch.setattr(script, "in_fresh_process", lambda name, root, cache: script.measure(name, root))
    return script


@pytest.fixture
def shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, sizes in SIZES.items():
        monkeypatch.setattr(module, "GRID", replace(module.GRID, sizes=sizes))
    monkeypatch.setattr(celeba, "IMAGES", 100)


def test_a_set_that_is_made_on_the_spot(quick: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert quick.main(["digits"]) == 0
    captured = capsys.readouterr()
    machine, header, digits = captured.out.splitlines()
    assert f"{torch.get_num_threads()} threads, torch {torch.__version__}" in machine
    # 1,797 images of 784 bytes, each with a label of 8.
    assert digits.split()[:6] == ["digits", "none", "1,437", "+", "360", "1.4"]
    assert len(digits) == len(header)
    assert captured.err == "digits: cold\ndigits: warm\n"


@pytest.mark.slow
def test_a_process_of_its_own(script: ModuleType, tmp_path: Path) -> None:
    cost = script.in_fresh_process("pinwheel", tmp_path, cache=tmp_path / "cache")
    # 800 points of two numbers; the process has imported torch before.
    assert (cost.examples, cost.held) == ("400 + 400", 6400)
    assert cost.resident is None or cost.resident < 10**8


@pytest.mark.slow
def test_the_processes_see_the_written_files(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["fashion_mnist", "--synthetic", "--data-root", str(tmp_path)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split()[:6] == ["fashion_mnist", "synthetic", "600", "+", "100", "0.6"]


def test_synthetic_sets_stand_in_for_those_that_are_not_here(
    quick: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "given"
    quick.data_files.write_idx("MNIST", given)
    before = sorted(given.rglob("*"))
    assert quick.main(["mnist", "fashion_mnist", "--synthetic", "--data-root", str(given)]) == 0
    captured = capsys.readouterr()
    _, header, *lines = captured.out.splitlines()
    assert [line.split()[:6] for line in lines] == [
        ["mnist", "published", "600", "+", "100", "0.6"],
        ["fashion_mnist", "synthetic", "600", "+", "100", "0.6"],
    ]
    assert {len(line) for line in lines} == {len(header)}
    assert captured.err.splitlines() == [
        "mnist: cold",
        "mnist: warm",
        "fashion_mnist: writing files of the published size",
        "fashion_mnist: cold",
        "fashion_mnist: warm",
    ]
    assert not list((tmp_path / "scratch").iterdir())
    assert sorted(given.rglob("*")) == before


def test_an_unknown_name_is_refused_in_one_line(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["digits", "mnst"]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("error: there is no data set 'mnst'; expected some of arrays, cars3d, celeba, ")
    assert line.endswith("; did you mean 'mnist'?")
    assert captured.out == ""


def test_sets_that_are_not_here_are_listed_and_not_fetched(
    quick: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quick.main(["mnist", "faces3d", "--data-root", str(tmp_path / "none")]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()[2:]
    assert [line.split() for line in lines] == [["mnist", "not", "here"], ["faces3d", "not", "here"]]
    assert captured.err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]


def test_malformed_files_are_a_line_and_do_not_keep_the_rest(
    quick: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick.data_files.write_idx("MNIST", tmp_path)
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(b"")
    assert quick.main(["mnist", "cars3d", "--data-root", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith("error: ")
    assert "t10k-labels-idx1-ubyte is malformed" in captured.err.splitlines()[-1]
    assert captured.out.splitlines()[-1].split() == ["cars3d", "not", "here"]
    assert not list((tmp_path / "scratch").iterdir())


def test_a_full_disk_is_a_line(
    quick: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(root: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quick.data_files, "WRITERS", {"faces3d": full})
    assert quick.main(["faces3d", "--synthetic", "--data-root", str(tmp_path)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: faces3d could not be written to ")
    assert line.endswith(": the disk is full: No space left on device; expected room there")
    assert not list((tmp_path / "scratch").iterdir())


def test_a_killed_process_is_a_line(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Killed(ThreadPoolExecutor):
        def submit(self, *called: object, **options: object) -> Never:
            raise BrokenProcessPool

    monkeypatch.setattr(script, "ProcessPoolExecutor", lambda n, mp_context: Killed(n))
    assert script.main(["digits"]) == 2
    expected = "error: digits: the process that loads it was killed; expected more memory, perhaps"
    assert capsys.readouterr().err.splitlines() == ["digits: cold", expected]


@pytest.mark.usefixtures("shrunk")
def test_a_cold_start_has_the_published_files_and_no_converted_ones(script: ModuleType, tmp_path: Path) -> None:
    given, root = tmp_path / "given", tmp_path / "root"
    given.mkdir()
    script.data_files.write_dsprites(given)
    before = script.measure("dsprites", given)
    assert list((given / "converted").glob("*.npy"))
    standing = script.published("dsprites", given)
    assert standing is not None
    script.link(standing, root)
    assert [path.name for path in root.iterdir()] == ["dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"]
    assert script.measure("dsprites", root).held == before.held
    assert list((root / "converted").glob("*.npy"))


def test_the_files_of_a_set_may_lie_in_two_folders_but_none_may_be_missing(
    script: ModuleType, tmp_path: Path, user_folder: Path
) -> None:
    script.data_files.write_idx("MNIST", tmp_path)
    raw, in_cache = tmp_path / "MNIST" / "raw", user_folder / "data" / "MNIST" / "raw"
    names = sorted(f"MNIST/raw/{path.name}" for path in raw.iterdir())
    in_cache.mkdir(parents=True)
    moved = (raw / "t10k-labels-idx1-ubyte").rename(in_cache / "t10k-labels-idx1-ubyte")
    found = script.published("mnist", tmp_path)
    assert sorted(found) == names
    assert found["MNIST/raw/t10k-labels-idx1-ubyte"] == moved
    moved.unlink()
    assert script.published("mnist", tmp_path) is None
    assert script.published("digits", tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "examples", "held"),
    [
        # The images with int16 factors, and dSprites' labels; all of so few are the test split, too, without a copy. Of
        # images in a file the number of each row.
        ("dsprites", "2,520", 2520 * (512 + 10 + 8)),
        ("faces3d", "2,048", 2048 * (4096 + 8)),
        ("chairs", "64", 64 * (6 + 8)),
        # With the validation part, which is not used.
        ("celeba", "81 + 9", 90 * (40 + 8)),
        # Factors, the label, and the number of each row.
        ("shapes3d", "240", 240 * (12 + 8 + 8)),
        ("mpi3d", "144", 144 * (14 + 8 + 8)),
    ],
)
@pytest.mark.usefixtures("shrunk")
def test_written_images_are_read_and_measured(
    script: ModuleType, name: str, examples: str, held: int, tmp_path: Path
) -> None:
    script.data_files.WRITERS[name](tmp_path)
    cost = script.measure(name, tmp_path)
    assert (cost.examples, cost.held) == (examples, held)
    assert cost.seconds > 0


@pytest.mark.parametrize(
    ("name", "held"),
    [
        # Six factors of int16, and the number of each row; a table's values, and its label.
        ("arrays", 300 * (12 + 8)),
        ("image_folder", 300 * (8 + 8)),
        ("table", 300 * (51 * 4)),
    ],
)
def test_a_users_own_data_are_written_read_and_measured(
    script: ModuleType, name: str, held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script.data_files, "OWN_IMAGES", 300)
    monkeypatch.setattr(script.data_files, "OWN_ROWS", 300)
    assert script.published(name, tmp_path) is None
    script.data_files.WRITERS[name](tmp_path)
    cost = script.measure(name, tmp_path)
    assert (cost.examples, cost.held) == ("270 + 30", held)


@pytest.mark.usefixtures("shrunk")
def test_written_cars_are_read(script: ModuleType, tmp_path: Path) -> None:
    script.data_files.write_cars3d(tmp_path)
    dataset = cars3d.cars3d(root=str(tmp_path), image_size=None, download=False)
    assert script.held(dataset) == 192 * (6 + 8)


@pytest.mark.usefixtures("shrunk")
def test_written_sprites_move_right_and_down_as_their_factors_say(script: ModuleType, tmp_path: Path) -> None:
    script.data_files.write_dsprites(tmp_path)
    train = dsprites.dsprites(root=str(tmp_path), image_size=None, download=False).train
    first, below, right = (train.x[torch.tensor([i])] for i in (0, 1, 15))
    assert torch.equal(below, first.roll(1, dims=2)) and not torch.equal(below, first)
    assert torch.equal(right, first.roll(1, dims=3)) and not torch.equal(right, first)


def test_written_messages_are_read(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_newsgroups, newsgroups):
        monkeypatch.setattr(module, "MESSAGES", {"train": 100, "test": 40})
    script.data_files.write_newsgroups20(tmp_path)
    dataset = newsgroups.newsgroups20(
        root=str(tmp_path),
        download=False,
        vocabulary_size=200,
        min_documents=10,
        headers="keep",
        stop_words="english",
    )
    assert (len(dataset.train), len(dataset.test)) == (100, 40)
    assert dataset.test.labels is not None and len(dataset.test.labels.unique()) == 20


def test_memory_is_read_from_the_system(
    quick: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = tmp_path / "status"
    monkeypatch.setattr(quick, "_STATUS", status)
    status.write_text("Name:\tpython\nVmHWM:\t    3 kB\nVmRSS:\t    2 kB\nThreads:\t1\n")
    assert quick.memory() == {"VmHWM": 3072, "VmRSS": 2048}
    status.unlink()
    assert quick.main(["pinwheel"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[5:10] == ["0.0", "–", "–", "–", "–"]


def test_memory_that_splits_share_counts_once(script: ModuleType) -> None:
    images = torch.zeros(10, 1, 4, 4, dtype=torch.uint8)
    train, test = Split(images[:8], labels=torch.zeros(8, dtype=torch.int64)), Split(images[8:])
    assert script.held(Dataset(train, test, "unit_interval")) == 160 + 64
    bags = Split(SparseCounts(torch.tensor([0, 1]), torch.tensor([2]), torch.ones(1), size=5))
    assert script.held(Dataset(bags, bags, "counts")) == 16 + 8 + 4

import logging
import os
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hfvae_runner.errors import CheckpointError, Diverged, StorageError
from hfvae_runner.training.checkpoint import State, restore

CONFIG = "seed: 0\nknobs: {beta: 12}\n"


def fresh(seed: int = 0, **options: Any) -> State:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, **options)
    return State(model, nn.Module(), optimizer, torch.Generator().manual_seed(seed))


def train(state: State, steps: int) -> list[float]:
    """Steps that draw from every random state a run could draw from; returns the losses."""
    losses = []
    for _ in range(steps):
        x = torch.randn(4, 5, generator=state.generator) + torch.rand(()) * random.random() + np.random.randn()
        loss = (state.model(x) ** 2).sum()
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        state.step += 1
        losses.append(loss.item())
    return losses


def equal(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def content_of(state: State) -> tuple[object, ...]:
    return state.model.state_dict(), state.optimizer.state_dict(), state.generator.get_state(), state.step


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def rewrite(path: Path, **changes: object) -> None:
    torch.save({**read(path), **changes}, path)


def refused(path: Path, match: str, state: State | None = None) -> None:
    """``restore`` refuses in one line that names the file, and changes nothing."""
    state = state or fresh(1)
    before = pickle.loads(pickle.dumps(content_of(state)))
    randomness, threads = (random.getstate(), torch.get_rng_state()), torch.get_num_threads()
    with pytest.raises(CheckpointError, match=match) as caught:
        restore(state, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert equal(content_of(state), before)
    assert equal((random.getstate(), torch.get_rng_state()), randomness)
    assert torch.get_num_threads() == threads


@pytest.fixture(autouse=True)
def thread_count() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    state = fresh()
    train(state, 3)
    return state.save(tmp_path, keep=2, config_text=CONFIG)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = fresh()
    train(state, 1)
    return state.save(tmp_path_factory.mktemp("small"), keep=1, config_text=CONFIG)


class TestRoundTrip:
    @pytest.mark.parametrize("options", [{}, {"fused": True}, {"amsgrad": True, "foreach": True}])
    def test_goes_on_as_if_never_stopped(self, tmp_path: Path, options: dict[str, bool]) -> None:
        state = fresh(**options)
        train(state, 5)
        state.save(tmp_path, keep=2, config_text=CONFIG)
        losses = train(state, 5)

        other = fresh(9, **options)
        train(other, 2)
        random.seed(9)
        np.random.seed(9)
        restore(other, tmp_path / "last.pt")
        assert other.step == 5
        assert train(other, 5) == losses
        assert equal(content_of(other), content_of(state))

    def test_before_the_first_step(self, tmp_path: Path) -> None:
        state = fresh()
        state.save(tmp_path, keep=1, config_text=CONFIG)
        losses = train(state, 3)
        other = fresh(9)
        restore(other, tmp_path / "step_00000000.pt")
        assert train(other, 3) == losses

    def test_saving_disturbs_nothing(self, tmp_path: Path) -> None:
        random.seed(0)
        np.random.seed(0)
        straight = train(fresh(), 4)
        random.seed(0)
        np.random.seed(0)
        state = fresh()
        saved = []
        for _ in range(4):
            saved += train(state, 1)
            state.save(tmp_path, keep=1, config_text=CONFIG)
        assert saved == straight

    def test_the_thread_count_comes_back(self, tmp_path: Path) -> None:
        torch.set_num_threads(2)
        fresh().save(tmp_path, keep=1, config_text=CONFIG)
        torch.set_num_threads(1)
        restore(fresh(), tmp_path / "last.pt")
        assert torch.get_num_threads() == 2

    def test_content_loads_without_executing(self, checkpoint: Path) -> None:
        content = read(checkpoint)
        assert content["format"] == 3
        assert content["step"] == 3
        assert content["config"] == CONFIG
        assert content["threads"] == torch.get_num_threads()
        assert content["generator_device"] == "cpu"
        assert checkpoint.name == "step_00000003.pt"

    def test_own_optimiser_flags_stay(self, tmp_path: Path) -> None:
        """A run that went on elsewhere computes its steps in the way of its own device."""
        state = fresh(fused=True)
        train(state, 2)
        state.save(tmp_path, keep=1, config_text=CONFIG)
        other = fresh(1, foreach=True)
        restore(other, tmp_path / "last.pt")
        group = other.optimizer.param_groups[0]
        assert (group["fused"], group["foreach"]) == (None, True)
        train(other, 1)

    def test_the_stored_learning_rate_counts(self, tmp_path: Path) -> None:
        state = fresh()
        state.optimizer.param_groups[0]["lr"] = 0.125
        state.save(tmp_path, keep=1, config_text=CONFIG)
        other = fresh()
        restore(other, tmp_path / "last.pt")
        assert other.optimizer.param_groups[0]["lr"] == 0.125

    def test_views_are_cut_from_their_storage(self, tmp_path: Path) -> None:
        model = nn.Module()
        model.row = nn.Parameter(torch.zeros(1000, 1000)[3])
        optimizer = torch.optim.Adam(model.parameters())
        path = State(model, nn.Module(), optimizer, torch.Generator()).save(tmp_path, keep=1, config_text="")
        assert path.stat().st_size < 60_000

    def test_what_the_loader_would_refuse_is_not_saved(self, tmp_path: Path) -> None:
        state = fresh()
        state.optimizer.param_groups[0]["lr"] = np.float64(0.1)
        with pytest.raises(TypeError, match=r"optimizer.param_groups\[0\].lr is float64"):
            state.save(tmp_path, keep=1, config_text="")
        assert os.listdir(tmp_path) == []


class TestAnotherDevice:
    def test_the_noise_is_seeded_anew_from_seed_and_step(
        self, checkpoint: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        rewrite(checkpoint, generator_device="cuda", generator=torch.zeros(16, dtype=torch.uint8))
        noise = []
        for seed in (4, 4, 5):
            state = fresh(seed)
            with caplog.at_level(logging.WARNING, "hfvae_runner"):
                restore(state, checkpoint)
            noise.append(torch.randn(3, generator=state.generator))
        assert torch.equal(noise[0], noise[1])
        assert not torch.equal(noise[0], noise[2])
        assert not torch.equal(noise[0], torch.randn(3, generator=torch.Generator().manual_seed(4)))
        assert "saved on cuda, this is cpu" in caplog.text

        rewrite(checkpoint, step=4)
        state = fresh(4)
        restore(state, checkpoint)
        assert not torch.equal(noise[0], torch.randn(3, generator=state.generator))

    def test_on_the_same_device_nothing_is_said(self, checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
        restore(fresh(), checkpoint)
        assert caplog.text == ""


class TestFiles:
    def test_the_newest_stay_and_last_is_the_newest(self, tmp_path: Path) -> None:
        state = fresh()
        for state.step in (9, 10, 11, 100_000_000):
            path = state.save(tmp_path, keep=2, config_text=CONFIG)
        assert sorted(os.listdir(tmp_path)) == ["last.pt", "step_00000011.pt", "step_100000000.pt"]
        assert (tmp_path / "last.pt").samefile(path)

    def test_saving_a_step_again(self, tmp_path: Path) -> None:
        state = fresh()
        state.save(tmp_path, keep=1, config_text="first")
        state.save(tmp_path, keep=1, config_text="second")
        assert sorted(os.listdir(tmp_path)) == ["last.pt", "step_00000000.pt"]
        assert read(tmp_path / "last.pt")["config"] == "second"

    def test_a_run_taken_back_drops_the_steps_it_took_back(self, tmp_path: Path) -> None:
        state = fresh()
        for state.step in (10, 20, 30):
            state.save(tmp_path, keep=3, config_text=CONFIG)
        state.step = 15
        state.save(tmp_path, keep=3, config_text=CONFIG)
        assert sorted(os.listdir(tmp_path)) == ["last.pt", "step_00000010.pt", "step_00000015.pt"]
        assert read(tmp_path / "last.pt")["step"] == 15

    def test_without_hard_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_links(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", no_links)
        state = fresh()
        for state.step in (1, 2):
            path = state.save(tmp_path, keep=1, config_text=CONFIG)
        assert not (tmp_path / "last.pt").samefile(path)
        assert (tmp_path / "last.pt").read_bytes() == path.read_bytes()
        assert sorted(os.listdir(tmp_path)) == ["last.pt", "step_00000002.pt"]

    @pytest.mark.parametrize("function", ["replace", "fsync"])
    @pytest.mark.parametrize("links", [True, False])
    @pytest.mark.parametrize("call", range(6))
    def test_a_write_that_fails_anywhere_leaves_a_whole_last(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, links: bool, call: int
    ) -> None:
        def no_links(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        real: Callable[..., None] = getattr(os, function)
        count = iter(range(100))

        def fail(*arguments: object) -> None:
            if next(count) == call:
                raise OSError(28, "No space left on device")
            real(*arguments)

        if not links:
            monkeypatch.setattr(os, "link", no_links)
        state = fresh()
        state.save(tmp_path, keep=1, config_text=CONFIG)
        state.step = 1
        monkeypatch.setattr(os, function, fail)
        try:
            state.save(tmp_path, keep=1, config_text=CONFIG)
        except StorageError as error:
            assert "No space left on device" in str(error)
            assert read(tmp_path / "last.pt")["step"] in (0, 1)
        else:
            assert next(count) <= call
        assert not list(tmp_path.glob(".*"))
        other = fresh(1)
        restore(other, tmp_path / "last.pt")
        assert (tmp_path / f"step_{other.step:08d}.pt").exists()

    def test_parameters_that_are_not_finite_are_not_saved(self, tmp_path: Path) -> None:
        state = fresh()
        state.save(tmp_path, keep=1, config_text=CONFIG)
        state.step = 1
        with torch.no_grad():
            state.model.get_parameter("3.weight")[1, 2] = torch.nan
            state.model.get_parameter("3.bias")[0] = torch.inf
        with pytest.raises(Diverged, match=r"'3.weight' is not finite at step 1"):
            state.save(tmp_path, keep=1, config_text=CONFIG)
        assert sorted(os.listdir(tmp_path)) == ["last.pt", "step_00000000.pt"]


class Malicious:
    """Makes the folder ``witness`` when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.witness),)


class TestRefusals:
    def test_missing(self, tmp_path: Path) -> None:
        refused(tmp_path / "last.pt", "missing")

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
    def test_truncated(self, checkpoint: Path, share: float) -> None:
        checkpoint.write_bytes(checkpoint.read_bytes()[: int(share * checkpoint.stat().st_size)])
        refused(checkpoint, "damaged")

    def test_random_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "last.pt"
        path.write_bytes(random.Random(0).randbytes(5000))
        refused(path, "damaged or no checkpoint")

    def test_a_damaged_record_is_named(self, checkpoint: Path) -> None:
        with zipfile.ZipFile(checkpoint) as archive:
            record = max(archive.infolist(), key=lambda info: info.file_size if "data/" in info.filename else 0)
            content = archive.read(record)
        damaged = bytearray(checkpoint.read_bytes())
        damaged[damaged.index(content)] ^= 1
        checkpoint.write_bytes(damaged)
        refused(checkpoint, f"record '{record.filename}'")

    @pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_a_record_that_claims_another_compression(self, checkpoint: Path, method: int) -> None:
        damaged = bytearray(checkpoint.read_bytes())
        # The method stands 8 bytes into a record's own header, 10 bytes into its line of the directory.
        for header, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
            place = damaged.index(header) + offset
            damaged[place : place + 2] = method.to_bytes(2, "little")
        checkpoint.write_bytes(damaged)
        refused(checkpoint, "damaged")

    @settings(max_examples=50)
    @given(data=st.data())
    def test_a_flipped_bit_never_passes_as_other_content(
        self, small: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        raw = bytearray(small.read_bytes())
        # Most of the file is records; its directory, the last part, takes a share of its own.
        place = data.draw(st.integers(0, len(raw) - 1) | st.integers(len(raw) - 4000, len(raw) - 1))
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
        path = tmp_path_factory.getbasetemp() / "flipped.pt"
        path.write_bytes(raw)
        whole, state = fresh(1), fresh(1)
        restore(whole, small)
        try:
            restore(state, path)
        except CheckpointError:
            return
        assert equal(content_of(state), content_of(whole))

    def test_another_archive(self, tmp_path: Path) -> None:
        path = tmp_path / "last.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("letter.txt", "hello")
        refused(path, "damaged or no checkpoint")

    @pytest.mark.parametrize("content", [[1, 2], {"weights": torch.zeros(3)}, torch.zeros(3)])
    def test_another_file_of_torch(self, tmp_path: Path, content: object) -> None:
        torch.save(content, tmp_path / "last.pt")
        refused(tmp_path / "last.pt", "no checkpoint of a run")

    @pytest.mark.parametrize(("key", "value"), [("rng", None), ("step", "3"), ("generator", [1])])
    def test_a_part_of_another_kind(self, checkpoint: Path, key: str, value: object) -> None:
        rewrite(checkpoint, **{key: value})
        refused(checkpoint, f"'{key}' is not")

    def test_another_format(self, checkpoint: Path) -> None:
        rewrite(checkpoint, format=4)
        refused(checkpoint, "format 4; expected 3")

    def test_another_model(self, checkpoint: Path) -> None:
        state = fresh()
        state.model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))
        refused(checkpoint, r"another model: 0.weight: float32\[7, 5\] \(expected float32\[8, 5\]\)", state)
        state.model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 2))
        refused(checkpoint, r"2.weight: absent \(expected float32\[2, 7\]\)", state)
        state.model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7))
        refused(checkpoint, r"3.weight: float32\[2, 7\] \(expected absent\), 3.bias", state)
        state.model = fresh().model.double()
        refused(checkpoint, r"0.weight: float32\[7, 5\] \(expected float64\[7, 5\]\)", state)

    def test_other_optimiser_groups(self, checkpoint: Path) -> None:
        state = fresh()
        first, *rest = state.model.parameters()
        state.optimizer = torch.optim.Adam([{"params": [first]}, {"params": rest}])
        refused(checkpoint, r"groups of \[6\] parameters; expected \[1, 5\]", state)

    @pytest.mark.parametrize("archived", [True, False])
    def test_a_malicious_pickle_is_not_executed(self, tmp_path: Path, archived: bool) -> None:
        path, witness = tmp_path / "last.pt", tmp_path / "witness"
        content = {"format": 3, "step": Malicious(witness)}
        torch.save(content, path) if archived else path.write_bytes(pickle.dumps(content))
        refused(path, "more than numbers and text" if archived else "damaged or no checkpoint")
        assert not witness.exists()
        # The trap itself works: a loader that executes would have sprung it.
        torch.load(path, weights_only=False) if archived else pickle.loads(path.read_bytes())
        assert witness.exists()

"""Batches that are copied ahead are those of a training set on the device, and runs on them the same runs, to the bit.

The copies to a GPU are imitated on the CPU; one test needs a GPU.
"""

import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from comparing import same_to_the_bit
from gpus import needs_gpu
from hypothesis import given, settings
from hypothesis import strategies as st
from stacks import stacked, tiny
from torch import Tensor

from hfvae_runner.data._examples import Rows
from hfvae_runner.data.supervision import Labelled
from hfvae_runner.runs import assembly, group, single
from hfvae_runner.runs.assembly import assemble
from hfvae_runner.training import memory
from hfvae_runner.training.ahead import DEPTH, Ahead, CudaTransfer
from hfvae_runner.training.batches import Batch, Batches


class Imitated:
    """Copies on the CPU, and keeps what was asked of it."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.threads: set[str] = set()
        self.sent, self.received = 0, 0

    def send(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        self.threads.add(threading.current_thread().name)
        self.sent += 1
        return tuple(tensor.clone() for tensor in tensors)

    def receive(self, sent: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        assert threading.current_thread() is threading.main_thread()
        self.received += 1
        return sent


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has runs copy their batches ahead, as on a GPU that cannot hold the training set."""
    monkeypatch.setattr(assembly, "holds", lambda device, size: False)
    monkeypatch.setattr(assembly, "CudaTransfer", Imitated)


def numbered(n: int) -> Tensor:
    return torch.arange(2 * n).reshape(n, 2)


@settings(max_examples=25)
@given(
    st.integers(1, 7),
    st.integers(0, 2**40),
    st.booleans(),
    st.lists(st.integers(0, 30), min_size=1, max_size=12),
)
def test_they_are_the_batches_on_the_device(batch_size: int, seed: int, weighted: bool, steps: list[int]) -> None:
    """In the order of training, from one epoch to the next, and from any step on as after a restart."""
    n = 7
    labels, weights = torch.arange(n), torch.arange(1.0, n + 1).double() if weighted else None
    given = Labelled(torch.tensor([5, 0, 3]), torch.tensor([[1, 2], [3, 4], [5, 6]]))
    here = Batches(numbered(n), batch_size, seed, labels, weights, labelled=given)
    ahead = Batches(Rows(numbered(n)), batch_size, seed, labels, weights, transfer=Imitated(), labelled=given)
    assert (here.ahead, ahead.ahead) == (False, True)
    for step in [*range(10), *steps]:
        one, other = here.at(step), ahead.at(step)
        for name in ("x", "labels"):
            assert torch.equal(getattr(one, name), getattr(other, name))
        assert one.labelled is not None and other.labelled is not None
        for tensors in zip(one.labelled, other.labelled, strict=True):
            assert torch.equal(*tensors)


def test_a_thread_is_some_steps_ahead_and_no_more() -> None:
    transfer, gathered = Imitated(), threading.Semaphore(0)
    asked: list[int] = []

    def gather(step: int) -> list[Tensor]:
        asked.append(step)
        gathered.release()
        return [torch.tensor(step)]

    ahead = Ahead(gather, transfer)
    for step in range(5):
        assert ahead.at(step)[0] == step
    for _ in range(5 + DEPTH):
        assert gathered.acquire(timeout=10)
    assert asked == list(range(5 + DEPTH)), "each step once, in order"
    assert transfer.received == 5
    (name,) = transfer.threads
    assert name.startswith("batches")


def test_what_fails_in_the_thread_fails_at_its_step() -> None:
    def gather(step: int) -> list[Tensor]:
        if step == 2:
            raise OSError("the disk is gone")
        return [torch.tensor(step)]

    ahead = Ahead(gather, Imitated())
    assert [int(ahead.at(step)[0]) for step in range(2)] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        ahead.at(2)
    assert ahead.at(3)[0] == 3


def test_the_order_owes_nothing_to_the_global_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Batches(numbered(30), 10, 0, transfer=Imitated()).at(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_set_is_held_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    gpu = torch.device("cuda", 0)
    assert memory.holds(gpu, 500) and not memory.holds(gpu, 501)
    assert memory.holds(torch.device("cpu"), 10**15), "it is not copied there"


@pytest.mark.usefixtures("one_thread")
def test_a_run_is_the_same_stopped_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("factor_vae", steps=9)
    single.run(config, tmp_path / "resident")
    monkeypatch.setattr(assembly, "holds", lambda device, size: False)
    monkeypatch.setattr(assembly, "CudaTransfer", Imitated)
    assert assemble(config).batches.ahead
    single.run(config, tmp_path / "ahead")
    same_to_the_bit(tmp_path / "ahead", tmp_path / "resident")
    log = (tmp_path / "ahead" / "run.log").read_text()
    assert "stays on the CPU, too large for the device: batches are copied" in log
    original = Batches.at

    def at(batches: Batches, step: int) -> Batch:
        if step == 4:
            signal.raise_signal(signal.SIGTERM)
        return original(batches, step)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Batches, "at", at)
        single.run(config, tmp_path / "stopped")
    single.run(tiny("factor_vae", steps=9, resume="auto"), tmp_path / "stopped")
    same_to_the_bit(tmp_path / "stopped", tmp_path / "resident")


@pytest.mark.usefixtures("one_thread", "copied")
def test_a_stack_shares_one_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [tiny("beta_vae", member, steps=5) for member in range(2)]
    shared: list[tuple[bool, bool]] = []
    share = group._share_data

    def watched(first: group._Job, job: group._Job) -> None:
        share(first, job)
        assert first.member is not None and job.member is not None
        one, other = first.member.run.batches, job.member.run.batches
        shared.append((one.x is other.x, other.ahead))

    monkeypatch.setattr(group, "_share_data", watched)
    assert stacked(configs, tmp_path / "ahead") == [None, None]
    assert shared == [(True, True)] * 2
    # The second finds no room beside the first one's copy, and reads from it.
    room = iter([True, False])
    monkeypatch.setattr(assembly, "holds", lambda device, size: next(room))
    assert stacked(configs, tmp_path / "resident") == [None, None]
    assert shared[2:] == [(True, False)] * 2
    for member in range(2):
        same_to_the_bit(tmp_path / "ahead" / str(member), tmp_path / "resident" / str(member))


@needs_gpu
@pytest.mark.parametrize("graph", [False, True])
def test_copies_to_a_gpu_are_the_batches_there(graph: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    x = torch.randint(0, 256, (5000, 3, 64, 64), dtype=torch.uint8)
    labels = torch.arange(5000, device=gpu)
    here = Batches(x.to(gpu), 64, 0, labels)
    ahead = Batches(Rows(x), 64, 0, labels, transfer=CudaTransfer(gpu))
    for step in range(200):
        (one, of_one, _), (other, of_other, _) = here.at(step), ahead.at(step)
        assert other.device == gpu and torch.equal(one, other)
        assert of_one is not None and of_other is not None and torch.equal(of_one, of_other)
    config = tiny("beta_vae", steps=12, device="cuda:0", runtime={"graph": graph})
    single.run(config, tmp_path / "resident")
    monkeypatch.setattr(assembly, "holds", lambda device, size: False)
    single.run(config, tmp_path / "ahead")
    same_to_the_bit(tmp_path / "ahead", tmp_path / "resident")

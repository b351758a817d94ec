"""A recorded step against the same step by itself, CUDA's recording imitated; tests/test_runtimes.py has real runs."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from taping import Tape
from torch import Tensor, nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.training import graph
from hfvae_runner.training.graph import WARM_UP, Outcome, graphed
from hfvae_runner.training.step import step_of

CPU = torch.device("cpu")
Loss = Callable[..., Outcome]


class Trained:
    """A network and the step that trains it, recorded or not."""

    def __init__(self, loss_of: Loss | None = None, *, recorded: bool) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 2))
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.1, fused=True)
        self.in_python = 0
        step = step_of(loss_of or self.loss, self.optimizer)
        self.step = graphed(step, CPU) if recorded else step

    def loss(self, x: Tensor, labels: None, noise: Sequence[Sequence[Tensor]], knobs: Tensor) -> Outcome:
        self.in_python += 1
        assert labels is None
        weight, target = knobs.unbind()
        y = self.network(x) + noise[0][0]
        return weight * (y.square().mean() - target).abs(), {"y": y.detach().mean(0)}


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Tape:
    """What records in place of CUDA."""
    tape = Tape()
    monkeypatch.setattr(graph, "CudaRecorder", lambda device: tape)
    return tape


def inputs(number: int) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(number)
    noise = [[torch.randn(6, 2, generator=generator)], []]
    return torch.randn(6, 5, generator=generator), None, noise, torch.tensor([1.0 + number, 0.1 * number])


def test_it_does_what_the_step_does(tape: Tape) -> None:
    one, other = Trained(recorded=True), Trained(recorded=False)
    for number in range(WARM_UP + 4):
        given = inputs(number)
        (loss, values), (expected, own) = one.step(*given), other.step(*given)
        assert torch.equal(loss, expected) and torch.equal(values["y"], own["y"])
        for mine, yours in zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True):
            assert torch.equal(mine, yours)
    assert (tape.aside_taken, tape.replays) == (WARM_UP, 4)
    assert one.in_python == WARM_UP + 1, "a replay is no Python"
    assert other.in_python == WARM_UP + 4


def test_its_results_are_the_same_memory_and_its_inputs_nobody_else_s(tape: Tape) -> None:
    trained = Trained(recorded=True)
    for number in range(WARM_UP):
        trained.step(*inputs(number))
    given = inputs(WARM_UP)
    first, values = trained.step(*given)
    before = first.clone()
    second, more = trained.step(*inputs(WARM_UP + 1))
    assert second is first and more["y"] is values["y"]
    assert not torch.equal(first, before)
    assert all(torch.equal(one, two) for one, two in zip((given[0], given[3]), inputs(WARM_UP)[::3], strict=True))


@pytest.mark.parametrize("at", [1, WARM_UP, WARM_UP + 2])
def test_another_shape_is_refused(at: int, tape: Tape) -> None:
    """It would else be stretched to the one that is there."""
    trained = Trained(recorded=True)
    for number in range(at):
        trained.step(*inputs(number))
    x, labels, noise, knobs = inputs(at)
    with pytest.raises(ValueError, match=r"\[\[6, 5\], \[6, 2\], \[2\]\]; given \[\[1, 5\], \[6, 2\], \[2\]\]"):
        trained.step(x[:1], labels, noise, knobs)
    with pytest.raises(ValueError, match=r"given \[\[6, 5\], \[2\]\]"):
        trained.step(x, labels, [[], []], knobs)


@pytest.mark.parametrize(
    "look",
    [lambda y: y.sum().item(), lambda y: bool((y > 0).all()), lambda y: y[y > 0].sum()],
    ids=["item", "bool", "mask"],
)
def test_what_waits_for_a_number_cannot_be_captured(look: Callable[[Tensor], object], tape: Tape) -> None:
    def loss_of(*given: Any) -> Outcome:
        loss, values = trained.loss(*given)
        look(loss[None])
        return loss, values

    trained = Trained(loss_of, recorded=True)
    for number in range(WARM_UP):
        trained.step(*inputs(number))
    with pytest.raises(ConfigError, match=r"^runtime.graph=true: the step cannot be captured \(CUDA error.*false$"):
        trained.step(*inputs(0))


@pytest.mark.parametrize(
    ("at", "error", "raised"),
    [
        (1, RuntimeError("no such shapes"), RuntimeError),
        (WARM_UP + 1, torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError),
        (WARM_UP + 1, KeyError("bug"), KeyError),
        (WARM_UP + 1, RuntimeError("x" * 500), ConfigError),
    ],
)
def test_only_errors_of_the_capture_are_explained(
    at: int, error: Exception, raised: type[Exception], tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ended a capture is told, and not what its end was refused with."""
    record = Tape.record

    def refused(own: Tape, work: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
        try:
            return record(own, work)
        except RuntimeError:
            raise RuntimeError("operation failed due to a previous error during capture") from None

    monkeypatch.setattr(Tape, "record", refused)

    def loss_of(*given: Any) -> Outcome:
        outcome = trained.loss(*given)
        if trained.in_python == at:
            raise error
        return outcome

    trained = Trained(loss_of, recorded=True)
    with pytest.raises(raised) as found:
        for number in range(WARM_UP + 2):
            trained.step(*inputs(number))
    assert trained.in_python == at
    if raised is ConfigError:
        assert "(xxx" in str(found.value) and len(str(found.value)) < 230
    else:
        assert found.value is error


def test_a_device_without_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"runtime\.graph=true: device cpu .* expected false"):
        graph.check(CPU)
    graph.check(torch.device("cuda", 0))

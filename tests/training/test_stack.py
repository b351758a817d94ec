"""A stack of modules and optimisers against the same ones by themselves."""

import copy
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from hfvae_runner.training.stack import Stack, StepResults, Trainable, side_by_side, single_step, stacked_step, unstack
from hfvae_runner.training.step import step_of

CPU = torch.device("cpu")
RATES = (1e-2, 1e-2, 1e-3, 0.1)


class Pair:
    """A network with a critic, in an optimiser group of its own, as one member and as its twin by itself."""

    def __init__(self, seed: int, lr: float) -> None:
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 4))
        self.critic = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(3, 1))
        self.unused = nn.Linear(2, 2)
        groups = [
            {"params": [*self.network.parameters(), *self.unused.parameters()]},
            {"params": list(self.critic.parameters()), "lr": 2 * lr, "betas": (0.5, 0.9)},
        ]
        self.optimizer = torch.optim.Adam(groups, lr=lr, amsgrad=True, fused=True)

    def loss(self, x: Tensor, target: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        y = self.network(x)
        return (y - 1).square().mean() + self.critic(y).square().mean(), {"y": y.detach().mean(0)}

    @property
    def trainable(self) -> Trainable:
        return Trainable((self.network, self.critic, self.unused), self.optimizer)


def pairs() -> tuple[list[Pair], list[Pair]]:
    members, twins = ([Pair(seed, lr) for seed, lr in enumerate(RATES)] for _ in range(2))
    return members, twins


def stack_of(members: Sequence[Pair]) -> Stack:
    return Stack([member.trainable for member in members], members[0].loss)


def inputs(members: int, step: int) -> list[tuple[Tensor, None]]:
    generator = torch.Generator().manual_seed(step)
    return [(torch.randn(16, 5, generator=generator), None) for _ in range(members)]


def same(members: Sequence[Pair], twins: Sequence[Pair]) -> None:
    for member, twin in zip(members, twins, strict=True):
        for one, two in zip(member.trainable.modules, twin.trainable.modules, strict=True):
            torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(
            member.optimizer.state_dict()["state"], twin.optimizer.state_dict()["state"], rtol=1e-4, atol=1e-6
        )


def trained(members: Sequence[Pair], twins: Sequence[Pair], steps: range) -> None:
    """Steps of the stack and of each twin; what they give, and are afterwards, must be the same."""
    take_step = stacked_step(stack_of(members).step, CPU)
    for step in steps:
        given = inputs(len(members), step)
        losses, values = take_step(given)
        for index, twin in enumerate(twins):
            loss, own = step_of(twin.loss, twin.optimizer)(*given[index])
            torch.testing.assert_close(losses[index], loss)
            torch.testing.assert_close(values["y"][index], own["y"])
    same(members, twins)


def test_members_are_the_runs_by_themselves() -> None:
    members, twins = pairs()
    trained(members, twins, range(5))
    state = members[0].optimizer.state_dict()["state"]
    assert len(state) == len(list(members[0].trainable.parameters())) - 2, "nothing is kept of what has no gradient"
    assert state[0]["step"] == 5


def test_a_second_stack_goes_on_where_the_first_ended() -> None:
    members, twins = pairs()
    trained(members, twins, range(3))
    trained(members, twins, range(3, 6))


def test_one_leaves_and_the_others_go_on() -> None:
    members, twins = pairs()
    trained(members, twins, range(3))
    gone, gone_twin = members.pop(1), twins.pop(1)
    unstack(gone.trainable)
    trained(members, twins, range(3, 6))
    same([gone], [gone_twin])
    for step in range(3, 6):
        for each in (gone, gone_twin):
            step_of(each.loss, each.optimizer)(*inputs(1, step)[0])
    same([gone], [gone_twin])
    for member in members:
        assert (
            gone.network[0].weight.untyped_storage().data_ptr() != member.network[0].weight.untyped_storage().data_ptr()
        )


def test_it_takes_up_what_optimisers_hold() -> None:
    """As after a resume: some steps were taken before there was a stack."""
    members, twins = pairs()
    for step in range(3):
        for each, given in zip([*members, *twins], inputs(4, step) * 2, strict=True):
            step_of(each.loss, each.optimizer)(*given)
    trained(members, twins, range(3, 6))


def test_no_copy_lies_between_a_member_and_the_stack() -> None:
    """The member's parameters and moments are the stack's memory, and gradients come as the optimiser takes them."""
    members, _ = pairs()
    stack = stack_of(members)
    stacked_step(stack.step, CPU)(inputs(4, 0))
    weights = [member.network[0].weight for member in members]
    assert len({weight.untyped_storage().data_ptr() for weight in weights}) == 1
    moments = [member.optimizer.state[weight]["exp_avg"] for member, weight in zip(members, weights, strict=True)]
    assert len({moment.untyped_storage().data_ptr() for moment in moments}) == 3, "one for each learning rate"
    assert all(slab.values.is_contiguous() for slab in stack._slabs)
    assert all(slab.values.grad is None or slab.values.grad.is_contiguous() for slab in stack._slabs)
    before = copy.deepcopy(weights[0].detach())
    stacked_step(stack.step, CPU)(inputs(4, 1))
    assert not torch.equal(before, weights[0])


def test_a_member_that_is_not_finite_spoils_no_other() -> None:
    members, twins = pairs()
    take_step = stacked_step(stack_of(members).step, CPU)
    for step in range(3):
        given = inputs(4, step)
        if step == 1:
            given[2] = (torch.full((16, 5), math.nan), None)
        losses, _ = take_step(given)
        assert losses.isfinite().tolist() == [True, True, step == 0, True]
        for index in (0, 1, 3):
            step_of(twins[index].loss, twins[index].optimizer)(*given[index])
    left = [members[index] for index in (0, 1, 3)], [twins[index] for index in (0, 1, 3)]
    same(*left)


@pytest.mark.parametrize("of", ["one", "several"])
def test_results_are_looked_at_and_fetched_by_member(of: str) -> None:
    losses = torch.tensor([1.0, math.inf] if of == "several" else [1.0])
    values = {"kl": torch.tensor([[0.1, 0.2], [3.0, 4.0]])[: len(losses)], "elbo": losses.neg()}
    results = StepResults(losses, values)
    assert results.all_finite() == (of == "one")
    first = results.per_member()[0]
    assert list(first) == ["kl", "elbo", "loss"]
    assert first == {"kl": [torch.tensor(0.1).item(), torch.tensor(0.2).item()], "elbo": [-1.0], "loss": [1.0]}
    assert len(results.per_member()) == len(losses)


def test_one_alone_has_a_dimension_of_members() -> None:
    def step(x: Tensor, labels: None) -> tuple[Tensor, dict[str, Tensor]]:
        return x.sum(), {"mean": x.mean(0)}

    loss, values = single_step(step, CPU)([(torch.ones(3, 2), None)])
    assert loss.tolist() == [6]
    assert values["mean"].tolist() == [[1, 1]]


def test_nested_inputs_side_by_side() -> None:
    one, two = ((torch.full((2,), value), None, [], [[torch.zeros(3)]]) for value in (1.0, 2.0))
    x, labels, nothing, nested = side_by_side([one, two])
    assert x.tolist() == [[1, 1], [2, 2]]
    assert labels is None and nothing == []
    assert nested[0][0].shape == (2, 3)

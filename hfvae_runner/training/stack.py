"""Stacks of runs: parameters and Adam's moments in stacked tensors, trained by one program.

Each member keeps its own modules and its own optimiser, whose tensors become views of the stacks. So every update
reaches them at once, and a member can be saved, evaluated and resumed like a run trained alone.

Shapes: R members, the first dimension of every stack and of every result.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hfvae_runner.config.names import Precision
from hfvae_runner.models.precision import step_in
from hfvae_runner.training.step import LossFunction, Step

GroupStep = Callable[[Sequence[Sequence[Any]]], tuple[Tensor, dict[str, Tensor]]]
"""A step of R members: takes the arguments of each member's loss, returns the losses [R] and values [R, *]."""

Values = Mapping[str, list[float]]
"""One member's values of a step, by name: a single number, or one number per block or factor."""


@dataclass(frozen=True)
class Trainable:
    """A member's modules and optimiser.

    Attributes:
        modules: all modules that its loss depends on.
        optimizer: over their parameters, newly made or restored.
    """

    modules: tuple[nn.Module, ...]
    optimizer: torch.optim.Optimizer

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all parameters, in the same order for every member."""
        return chain.from_iterable(module.parameters() for module in self.modules)


class StepResults:
    """Losses and values of a step of R members in one table [R, V], so that one transfer fetches all.

    Args:
        losses: [R].
        values: by name, [R, *].
    """

    def __init__(self, losses: Tensor, values: Mapping[str, Tensor]) -> None:
        self._columns = {**values, "loss": losses}

    @cached_property
    def _table(self) -> Tensor:
        return torch.cat(
            [
                column.detach().flatten(1) if column.ndim > 1 else column.detach()[:, None]
                for column in self._columns.values()
            ],
            dim=1,
        )

    def all_finite(self) -> bool:
        """Return whether all values are finite."""
        return bool(torch.isfinite(self._table).all())

    def per_member(self) -> list[Values]:
        """Return each member's values by name, as floats; ``loss`` is the last."""
        sizes = [column[0].numel() for column in self._columns.values()]
        ends = list(accumulate(sizes))
        return [
            {name: row[end - size : end] for name, size, end in zip(self._columns, sizes, ends, strict=True)}
            for row in self._table.tolist()
        ]


def single_step(step: Step, device: torch.device) -> GroupStep:
    """Wrap the step of a single run as a step of R = 1 members."""

    def take(inputs: Sequence[Sequence[Any]]) -> tuple[Tensor, dict[str, Tensor]]:
        (own,) = inputs
        loss, values = step(*(_moved(each, device) for each in own))
        return loss[None], {name: value[None] for name, value in values.items()}

    return take


def stacked_step(step: Step, device: torch.device) -> GroupStep:
    """Wrap the step of a stack so that it takes the members' inputs one by one."""

    def take(inputs: Sequence[Sequence[Any]]) -> tuple[Tensor, dict[str, Tensor]]:
        return step(*(_moved(side_by_side(each), device) for each in zip(*inputs, strict=True)))

    return take


class Stack:
    """R members of the same structure, trained as one program with batched matrix products.

    Learning rates may differ. Members with the same learning rates cost less if they are adjacent.

    Args:
        parts: the members' modules and optimisers, all after the same number of steps.
        loss_of: the first member's loss, a pure function of its arguments and of its modules' parameters and buffers.
        precision: of the matrix products, as in ``step_of``.
    """

    def __init__(self, parts: Sequence[Trainable], loss_of: LossFunction, *, precision: Precision = "fp32") -> None:
        self._parts = tuple(parts)
        self._precision: Precision = precision
        self._program = _Program(parts[0].modules, loss_of)
        named = [_Program(part.modules, loss_of) for part in parts]
        parameters, buffers = ([dict(of(each)) for each in named] for of in (_parameters, _buffers))
        self._parameters = {name: _joined([each[name] for each in parameters]) for name in parameters[0]}
        self._buffers = {name: _joined([each[name] for each in buffers]) for name in buffers[0]}
        self._slabs = list(self._cut({id(parameters[0][name]): leaf for name, leaf in self._parameters.items()}))
        self._optimizer = torch.optim.Adam(self._groups())
        for slab in self._slabs:
            self._take_over(slab)
        self._handed_on = len(self._optimizer.state)

    def step(self, *inputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Take one step of all members and return their losses [R], nats per example, and values [R, *].

        Args:
            inputs: each of the loss's arguments with R as the first dimension; see ``stacked_step``.

        Raises:
            RuntimeError: ``torch.vmap`` does not support an operation of the loss.
        """
        for leaf in self._parameters.values():
            leaf.grad = None
        with step_in(self._precision):
            losses, values = self.losses(*inputs)
            # A member's loss depends only on its own parameters, so the sum has the gradient of each member's loss.
            losses.sum().backward()
        for slab in self._slabs:
            slab.take_gradient()
        self._optimizer.step()
        if len(self._optimizer.state) != self._handed_on:
            self._hand_on()
        return losses.detach(), values

    def losses(self, *inputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the members' losses and values, without a step."""
        places = tuple(None if each is None else 0 for each in inputs)
        both: tuple[Tensor, dict[str, Tensor]] = vmap(self._loss, in_dims=(0, 0, *places))(
            self._parameters, self._buffers, *inputs
        )
        return both

    def _loss(self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], *inputs: Any) -> Any:
        return functional_call(self._program, (dict(parameters), dict(buffers)), inputs)

    def _cut(self, leaves: Mapping[int, Tensor]) -> Iterator["_Slab"]:
        """Yield every stack, cut where learning rates change; ``leaves`` by ``id`` of the first member's parameters."""
        numbers = range(len(self._parts))
        for _, same in groupby(numbers, key=lambda index: rates(self._parts[index].optimizer)):
            members = list(same)
            for place, group in enumerate(self._parts[0].optimizer.param_groups):
                for index, own in enumerate(group["params"]):
                    yield _Slab(leaves[id(own)], members[0], members[-1] + 1, place, index)

    def _groups(self) -> list[dict[str, Any]]:
        """Return a parameter group for each group of each cut, with the options of the first member of the cut."""
        groups: list[dict[str, Any]] = []
        for (first, place), same in groupby(self._slabs, key=lambda slab: (slab.first, slab.group)):
            own = self._parts[first].optimizer.param_groups[place]
            settings = {key: value for key, value in own.items() if key != "params"}
            groups.append({"params": [slab.values for slab in same], **settings})
        return groups

    def _take_over(self, slab: "_Slab") -> None:
        """Stack the members' optimiser states of a parameter, if they have taken a step."""
        states = [part.optimizer.state.get(own) for part, own in self._owners(slab)]
        if not states[0]:
            return
        joined: dict[str, Any] = {"step": states[0]["step"].clone()}
        for key in states[0].keys() - {"step"}:
            joined[key] = _dense(_joined([state[key] for state in states if state is not None]))
        self._optimizer.state[slab.values] = joined
        self._show(slab)

    def _hand_on(self) -> None:
        """Make the members' optimiser states views of the stacked ones."""
        for slab in self._slabs:
            if slab.values in self._optimizer.state:
                self._show(slab)
        self._handed_on = len(self._optimizer.state)

    def _show(self, slab: "_Slab") -> None:
        held = self._optimizer.state[slab.values]
        for index, (part, own) in enumerate(self._owners(slab)):
            part.optimizer.state[own] = {
                key: value if key == "step" else _turned(value[index]) for key, value in held.items()
            }

    def _owners(self, slab: "_Slab") -> list[tuple[Trainable, Tensor]]:
        parts = self._parts[slab.first : slab.last]
        return [(part, part.optimizer.param_groups[slab.group]["params"][slab.index]) for part in parts]


class _Slab:
    """The part of one stack that belongs to the members from ``first`` to ``last`` − 1, as the optimiser sees it.

    Attributes:
        values: the part, contiguous in memory.
        group: the number of the parameter's group in the members' optimisers.
        index: the parameter's number in that group.
    """

    def __init__(self, leaf: Tensor, first: int, last: int, group: int, index: int) -> None:
        self._leaf = leaf
        self.first, self.last, self.group, self.index = first, last, group, index
        self.values = _dense(leaf.detach())[first:last]

    def take_gradient(self) -> None:
        gradient = self._leaf.grad
        self.values.grad = None if gradient is None else _dense(gradient)[self.first : self.last]


class _Program(nn.Module):
    """A loss as a module, so that ``functional_call`` finds its parameters."""

    def __init__(self, modules: Sequence[nn.Module], loss_of: LossFunction) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)
        self._loss_of = loss_of

    def forward(self, *inputs: Any) -> Any:
        return self._loss_of(*inputs)


def unstack(part: Trainable) -> None:
    """Copy a member's tensors out of the stack, so that the stack's memory can be freed."""
    for tensor in chain(part.parameters(), *(module.buffers() for module in part.modules)):
        tensor.data = tensor.data.clone()
    for state in part.optimizer.state.values():
        for key, value in state.items():
            state[key] = value.clone()


def rates(optimizer: torch.optim.Optimizer) -> tuple[float, ...]:
    """Return the learning rates of an optimiser's groups."""
    return tuple(float(group["lr"]) for group in optimizer.param_groups)


def side_by_side(values: Sequence[Any]) -> Any:
    """Stack R nested sequences of tensors into one, of tensors [R, *]; None stays None."""
    first = values[0]
    if first is None or isinstance(first, Tensor):
        return None if first is None else torch.stack(list(values))
    return [side_by_side(each) for each in zip(*values, strict=True)]


def _moved(value: Any, device: torch.device) -> Any:
    # The copy to a GPU is asynchronous: nothing waits for its end.
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


def _parameters(program: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return program.named_parameters()


def _buffers(program: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return program.named_buffers()


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """Stack the tensors into a leaf [R, *], and make each of them a view of it.

    Matrices are stored by columns, the layout in which a batched matrix product returns its gradient; another layout
    would require a copy.
    """
    stack = _dense(torch.stack([_turned(tensor.detach()) for tensor in tensors]))
    for index, tensor in enumerate(tensors):
        tensor.data = stack[index]
    return stack.requires_grad_(tensors[0].requires_grad)


def _dense(stack: Tensor) -> Tensor:
    """Transpose a stack of matrices to its layout in memory, and return any other stack as it is; its own inverse."""
    return stack.mT if stack.ndim == 3 else stack


def _turned(one: Tensor) -> Tensor:
    """Apply ``_dense`` to one member's tensor."""
    return one.mT if one.ndim == 2 else one

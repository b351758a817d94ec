"""One optimiser step as a function of (batch, noise, knobs), eager or compiled."""

import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor

from hfvae_runner.config.names import Precision
from hfvae_runner.errors import ConfigError
from hfvae_runner.models.precision import step_in

LossFunction = Callable[..., tuple[Tensor, dict[str, Tensor]]]
Step = Callable[..., tuple[Tensor, dict[str, Tensor]]]


def step_of(
    loss_of: LossFunction, optimizer: torch.optim.Optimizer, *, precision: Precision = "fp32", compiled: bool = False
) -> Step:
    """Return a function that computes the loss and its gradients and updates the parameters.

    Args:
        loss_of: (batch, noise, knobs) -> (loss, terms), a pure function of these and the parameters.
        optimizer: over the same parameters.
        precision: of the matrix products; ``loss_of`` itself sets the precision inside the networks.
        compiled: whether torch compiles the forward and backward pass, at the first step and for fixed shapes.

    Returns:
        The step, which takes the arguments of ``loss_of`` and returns its results detached.
    """
    program = torch.compile(loss_of, dynamic=False, fullgraph=True) if compiled else loss_of

    def step(*inputs: object) -> tuple[Tensor, dict[str, Tensor]]:
        optimizer.zero_grad(set_to_none=True)
        with step_in(precision):
            loss, terms = program(*inputs)
            loss.backward()
        optimizer.step()
        return loss.detach(), terms

    return step


def check_compiler(device: torch.device) -> None:
    """Raise ConfigError if torch finds no compiler for the device."""
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ConfigError(f"runtime.compile=true: there is no C++ compiler {compiler!r}; expected one, or false")

"""What the terms with a critic share: a network that learns to tell two kinds of input apart.

Shapes: B inputs.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy


def with_constant_weights(critic: nn.Module, x: Tensor) -> Tensor:
    """Apply a critic so that gradients reach its input and not its weights.

    The loss that uses this must not train the critic, which it would make weaker.
    """
    constant = {name: parameter.detach() for name, parameter in critic.named_parameters()}
    logits: Tensor = functional_call(critic, constant, (x,))
    return logits


def cross_entropy_to(kind: int, logits: Tensor) -> Tensor:
    """Return the mean cross entropy of logits [B, 2] if all inputs are of this kind, in nats."""
    return cross_entropy(logits, torch.full((len(logits),), kind, device=logits.device))

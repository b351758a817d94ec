"""Independent Bernoulli variables, parametrised by logits."""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def log_prob(x: Tensor, logits: Tensor) -> Tensor:
    """Return x·log p + (1−x)·log(1−p) with p = sigmoid(logits), elementwise. Nats.

    Grey values between 0 and 1 are not binarised: the result is the cross entropy that the HFVAE and JointVAE authors
    use. It is a normalised likelihood only where every x is 0 or 1.
    """
    return -binary_cross_entropy_with_logits(logits, x, reduction="none")

"""The PI controller of a term's weight, with its state in buffers on the device (ControlVAE, Shao et al. 2020).

The error of a step is e = C − v: the target C less the mean of the latest values of the term, in nats per example. Then

    P = K_p / (1 + exp(e)),   I ← I − K_i·e,   weight = P + I + least, cut to [least, most].

The integral rests while the weight before the cut was outside of the range at the step before and the error would push
it further out. In the paper and in the authors' code it then rests whatever the error: once |I| exceeds K_p below
``least``, no P brings the weight back, and it stays there for good.

DynamicVAE's controller (Shao et al. 2020, arXiv 2009.06795) adds ΔP − K_i·e to the weight at each step, with a moving
average of the KL. It is this one with an integral that begins at ``start − least − K_p / 2``.
"""

import torch
from torch import Tensor, nn

from hfvae_runner.config.control import PIControl


class Controller(nn.Module):
    """A PI controller; its state belongs to the checkpoint, its gains and limits to the config.

    Attributes:
        integral: I, the integral part of the weight, [].
        uncut: the weight of the step before, before it was cut to the range, [].
        recent: the latest values of the term, oldest first, [window].
        settings: K_p, K_i, least and most, [4]. They are a buffer, since the members of a stack may differ in them.
    """

    integral: Tensor
    uncut: Tensor
    recent: Tensor
    settings: Tensor

    def __init__(self, control: PIControl) -> None:
        super().__init__()
        first = control.first_integral
        most = torch.inf if control.most is None else control.most
        self.register_buffer("integral", torch.tensor(first))
        self.register_buffer("uncut", torch.tensor(control.least + first + control.k_p / 2))
        self.register_buffer("recent", torch.zeros(control.window))
        settings = torch.tensor([control.k_p, control.k_i, control.least, most])
        self.register_buffer("settings", settings, persistent=False)

    def forward(self, value: Tensor, target: Tensor) -> Tensor:
        """Return the weight of this step, a scalar, and update the state by the term's value.

        Args:
            value: the term at this step, detached, a scalar in nats per example.
            target: the target at this step, a scalar.
        """
        k_p, k_i, least, most = self.settings.unbind()
        recent = torch.cat([self.recent[1:], value.to(self.recent.dtype)[None]])
        error = target - recent.mean()
        outward = ((self.uncut < least) & (error > 0)) | ((self.uncut > most) & (error < 0))
        integral = torch.where(outward, self.integral, self.integral - k_i * error)
        # 1 / (1 + exp(e)), in a form that does not overflow.
        uncut = k_p * torch.sigmoid(-error) + integral + least
        self.recent.copy_(recent)
        self.integral.copy_(integral)
        self.uncut.copy_(uncut)
        return torch.minimum(torch.maximum(uncut, least), most)

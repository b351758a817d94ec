"""Batches of a data set on the training device, in an order that depends on (seed, epoch) only.

Shapes: N training examples; B batch; * the shape of one example.
"""

import torch
from torch import Tensor

from hfvae_runner.data import Examples
from hfvae_runner.data.sampling import draws
from hfvae_runner.errors import ConfigError
from hfvae_runner.training.seeds import derived


class Batches:
    """Random access to the batch of any step, so that a resumed run needs no earlier ones.

    Every epoch is a fresh permutation cut into N // B batches of exactly B; the N % B examples left over are others
    in each epoch. (A last short batch would make the estimate of q(z) poorer there, and a second shape to compile.)
    With weights an epoch is N rows drawn in that proportion in place of a permutation, see ``draws``.
    """

    def __init__(
        self,
        x: Examples,
        batch_size: int,
        seed: int,
        labels: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> None:
        """
        Args:
            x: [N, *], on the training device, as stored (uint8 images stay uint8).
            batch_size: B.
            seed: the run's.
            labels: [N], on the same device; None where training needs none.
            weights: [N] float64, on the CPU: in what proportion the examples are drawn; None for all alike.

        Raises:
            ConfigError: B is larger than N.
        """
        if batch_size > len(x):
            raise ConfigError(
                f"batch_size={batch_size}: the data set has {len(x)} training examples; expected at most that"
            )
        self.x = x
        self.labels = labels
        self.weights = weights
        self.batch_size = batch_size
        self.seed = seed
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    @property
    def steps_per_epoch(self) -> int:
        """N // B."""
        return len(self.x) // self.batch_size

    def at(self, step: int) -> tuple[Tensor, Tensor | None]:
        """The batch of step ``step`` (from 0): examples [B, *] as stored, and labels [B] where there are any."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            # Drawn on the CPU, so that every device sees the same order.
            generator = torch.Generator().manual_seed(derived(self.seed, "order", epoch))
            self._order = draws(len(self.x), self.weights, generator).to(self.x.device, non_blocking=True)
            self._epoch = epoch
        chosen = self._order[place * self.batch_size : (place + 1) * self.batch_size]
        return self.x[chosen], None if self.labels is None else self.labels[chosen]

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
    """Random access to the batch of any step, so that a resumed run does not need the earlier batches.

    Every epoch is a new permutation, cut into N // B batches of exactly B examples; a different set of N % B examples
    is left over in each epoch. (A shorter last batch would make the estimate of q(z) worse, and would be a second shape
    to compile.) With weights, an epoch is N rows drawn in proportion to them instead of a permutation; see ``draws``.
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
            seed: the run's seed.
            labels: [N], on the same device; None if training needs no labels.
            weights: [N] float64, on the CPU: the examples are drawn in proportion to them; None for equal weights.

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
        """The number of batches per epoch, N // B."""
        return len(self.x) // self.batch_size

    def at(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Return the batch of step ``step`` (from 0): examples [B, *] as stored, and labels [B] or None."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            # Drawn on the CPU, so that every device sees the same order.
            generator = torch.Generator().manual_seed(derived(self.seed, "order", epoch))
            self._order = draws(len(self.x), self.weights, generator).to(self.x.device, non_blocking=True)
            self._epoch = epoch
        chosen = self._order[place * self.batch_size : (place + 1) * self.batch_size]
        return self.x[chosen], None if self.labels is None else self.labels[chosen]

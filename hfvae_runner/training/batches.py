"""Batches on the training device, in an order that depends on (seed, epoch) only.

Shapes: N training examples; B batch; M examples with given factors, m of them in a batch; K given factors; * the shape
of one example.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from hfvae_runner.data import Examples
from hfvae_runner.data.pairs import Partners
from hfvae_runner.data.sampling import draws
from hfvae_runner.data.supervision import Labelled
from hfvae_runner.errors import ConfigError
from hfvae_runner.training.ahead import Ahead, Transfer
from hfvae_runner.training.seeds import derived


class Batch(NamedTuple):
    """The data of one step.

    Attributes:
        x: examples [B, *], as stored.
        labels: the given labels, [B]; None if training needs no labels.
        labelled: examples [m, *] with given factors, and their values [m, K]; None if no factors are given.
    """

    x: Tensor
    labels: Tensor | None = None
    labelled: tuple[Tensor, Tensor] | None = None


class Batches:
    """Random access to the batch of any step, so that a resumed run does not need the earlier batches.

    Every epoch is a new permutation, cut into N // B batches of exactly B examples; a different set of N % B examples
    is left over in each epoch. (A shorter last batch would make the estimate of q(z) worse, and would be a second shape
    to compile.) With weights, an epoch is N rows drawn in proportion to them instead of a permutation; see ``draws``.

    With partners, a batch is B/2 pairs: the first example of each, from the permutation, then their partners in the
    same order. An epoch has N // B batches as before, so that it is N examples, both of a pair counted.

    The M examples with given factors come beside the batch, m = min(B, M) at a time, in one order again and again. They
    are not counted in an epoch.
    """

    def __init__(
        self,
        x: Examples,
        batch_size: int,
        seed: int,
        labels: Tensor | None = None,
        weights: Tensor | None = None,
        partners: Partners | None = None,
        transfer: Transfer | None = None,
        labelled: Labelled | None = None,
    ) -> None:
        """
        Args:
            x: [N, *], as stored (uint8 images stay uint8); on the training device, or on the CPU if there is a
                transfer.
            batch_size: B.
            seed: the run's seed.
            labels: [N], on the training device; None if training needs no labels.
            weights: [N] float64, on the CPU: the examples are drawn in proportion to them; None for equal weights.
            partners: draws the second examples of pairs; None for single examples.
            transfer: copies batches from the CPU to the training device, ahead of their steps; None if x is there.
            labelled: the examples with given factors, where x lies; None if there are none.

        Raises:
            ConfigError: B is larger than N, or odd with partners.
        """
        if batch_size > len(x):
            raise ConfigError(
                f"batch_size={batch_size}: the data set has {len(x)} training examples; expected at most that"
            )
        if partners is not None and batch_size % 2:
            raise ConfigError(f"batch_size={batch_size}: dataset.pairs makes pairs of it; expected an even number")
        self.labels = labels
        self.weights = weights
        self.partners = partners
        self.batch_size = batch_size
        self.seed = seed
        self.labelled = labelled
        self._read_from(x, transfer)

    @property
    def ahead(self) -> bool:
        """Whether batches are gathered on the CPU and copied ahead of their steps."""
        return self._transfer is not None

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches per epoch, N // B."""
        return len(self.x) // self.batch_size

    def share(self, other: "Batches") -> None:
        """Read from the examples of ``other``, which are the same, instead of a second copy on the device."""
        self._read_from(other.x, other._transfer)

    def at(self, step: int) -> Batch:
        """Return the data of step ``step`` (from 0)."""
        x, chosen, *labelled = self._chosen(step) if self._ahead is None else self._ahead.at(step)
        labels = None if self.labels is None else self.labels[chosen]
        return Batch(x, labels, (labelled[0], labelled[1]) if labelled else None)

    def _read_from(self, x: Examples, transfer: Transfer | None) -> None:
        self.x = x
        self._transfer = transfer
        self._ahead = None if transfer is None else Ahead(self._chosen, transfer)
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def _chosen(self, step: int) -> tuple[Tensor, ...]:
        """Return a step's examples [B, *] and their numbers [B], where the data lie.

        If factors are given, examples [m, *] and their values [m, K] follow.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            # Drawn on the CPU, so that every device sees the same order.
            self._order = self._drawn(epoch).to(self.x.device, non_blocking=True)
            self._epoch = epoch
        chosen = self._order[place * self.batch_size : (place + 1) * self.batch_size]
        if self.labelled is None:
            return self.x[chosen], chosen
        size = min(self.batch_size, len(self.labelled))
        places = (step * size + torch.arange(size, device=self.x.device)) % len(self.labelled)
        return self.x[chosen], chosen, self.x[self.labelled.rows[places]], self.labelled.values[places]

    def _drawn(self, epoch: int) -> Tensor:
        """Return the examples of an epoch, batch by batch, int64 [N] or fewer."""
        generator = torch.Generator().manual_seed(derived(self.seed, "order", epoch))
        order = draws(len(self.x), self.weights, generator)
        if self.partners is None:
            return order
        pairs = self.batch_size // 2
        first = order[: self.steps_per_epoch * pairs]
        # A stream of its own, so that the first examples are those of a run on single examples.
        second = self.partners.draw(first, torch.Generator().manual_seed(derived(self.seed, "pairs", epoch)))
        return torch.cat([first.view(-1, pairs), second.view(-1, pairs)], dim=1).flatten()

"""Log-densities of one batch, each computed lazily and at most once. The objectives' terms are functions of them.

Shapes: B batch; F factors; G blocks. All values are in nats per example.
Levels: ``joint`` [B], ``block`` [B, G], ``factor`` [B, F]. With ``blocks=…``, G and F count the named blocks only.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Annotated

import torch
from annotated_types import MinLen
from torch import Tensor

from hfvae_runner.config.names import Level
from hfvae_runner.config.validation import expected
from hfvae_runner.data.supervision import Supervised
from hfvae_runner.latents.aggregate import Aggregate
from hfvae_runner.latents.blocks import Posterior, Sample
from hfvae_runner.latents.generated import Generated
from hfvae_runner.latents.known_factors import KnownFactors
from hfvae_runner.latents.latents import Latents, Piece, summed

Blocks = Annotated[Sequence[str], MinLen(1), expected("a list of block names")] | None


class Evidence:
    """Log-densities log p(x|z), log q(z|x), log q(z) and log p(z) of one batch, at one sample per example.

    Args:
        latents: the blocks and their priors.
        posterior: the encoder's output, [B, P_g] for each block.
        sample: one sample per example, [B, C_g] for each block.
        log_px: log p(x|z) of that sample, [B].
        aggregate: log q(z) at the samples, estimated from the batch or exact.
        supervised: the examples whose discrete variable is given by their label, or None if there are none.
        values: P, the number of values of an example.
        shared: which factors have an averaged posterior, bool [B/2, F] for each pair; None without averaging.
        known: the examples whose ground-truth factors are given, with their posterior; None if there are none.
        generated: examples generated from draws of the prior; None if no term compares with them.
    """

    def __init__(
        self,
        latents: Latents,
        posterior: Posterior,
        sample: Sample,
        log_px: Tensor,
        aggregate: Aggregate,
        supervised: Supervised | None = None,
        shared: Tensor | None = None,
        values: int = 1,
        known: KnownFactors | None = None,
        generated: Generated | None = None,
    ) -> None:
        self.latents = latents
        self.posterior = posterior
        self.sample = sample
        self.log_px = log_px
        self.aggregate = aggregate
        self.supervised = supervised
        self.shared = shared
        self.values = values
        self.known = known
        self.generated = generated
        self._known: dict[Hashable, Tensor] = {}

    def log_qz_x(self, level: Level, blocks: Blocks = None) -> Tensor:
        """Return log q(z|x) of each example's own sample.

        Raises:
            ConfigError: a name in ``blocks`` matches no block.
        """
        return self._log_qz_x(level, self.latents.select(blocks))

    def log_pz(self, level: Level, blocks: Blocks = None) -> Tensor:
        """Return log p(z).

        Raises:
            ConfigError: the prior has no marginals at that level, or a name in ``blocks`` matches no block.
        """
        chosen = self.latents.select(blocks)
        return self._once(("log_pz", level, chosen), lambda: self.latents.log_prior(level, self.sample, chosen))

    def log_qz(self, level: Level, blocks: Blocks = None) -> Tensor:
        """Return log q(z) of the aggregate posterior, as ``aggregate`` computes it.

        Raises:
            ConfigError: a name in ``blocks`` matches no block.
        """
        chosen = self.latents.select(blocks)
        return self._once(("log_qz", level, chosen), lambda: self.aggregate.log_prob(level, chosen))

    def kl(self, level: Level, blocks: Blocks = None) -> Tensor:
        """Return KL(q(z|x) ‖ p(z)): the closed form where a prior has one, otherwise log q(z|x) − log p(z).

        Raises:
            ConfigError: the prior has no marginals at that level, or a name in ``blocks`` matches no block.
        """
        chosen = self.latents.select(blocks)
        return self._once(("kl", level, chosen), lambda: self._make_kl(level, chosen))

    def own_share(self) -> Tensor | None:
        """Return the fraction of q̂(z) due to the sample's own component, [B], or None if q̂(z) is not yet computed.

        Near 1, no other component of the batch has density at the sample. Then log q̂(z) ≈ log q(z|x) − log N, whatever
        the rest of the data are: for B ≪ N the stratified estimator degenerates (α-β paper, App. C).
        """
        joint = self._known.get(("log_qz", "joint", self.latents.select(None)))
        return None if joint is None else (self.aggregate.own_log_weight + self.log_qz_x("joint") - joint).exp()

    def _log_qz_x(self, level: Level, chosen: Sequence[int]) -> Tensor:
        """Return log q(z|x) per factor, [B, D] for each block, summed to the level."""
        return summed([self._log_qz_x_of(g) for g in chosen], level)

    def _log_qz_x_of(self, g: int) -> Tensor:
        block = self.latents.blocks[g]
        return self._once(("log_qz_x", g), lambda: block.log_prob(self.posterior[g], self.sample[g]))

    def _make_kl(self, level: Level, chosen: Sequence[int]) -> Tensor:
        values = [self._kl_of(piece, level) for piece in self.latents.pieces(chosen)]
        return torch.stack(values).sum(0) if level == "joint" else torch.cat(values, dim=1)

    def _kl_of(self, piece: Piece, level: Level) -> Tensor:
        closed_form = piece.kl(level, self.posterior)
        if closed_form is not None:
            return closed_form
        return self._log_qz_x(level, piece.blocks) - piece.log_prob(level, self.sample)

    def _once(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

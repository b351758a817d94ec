"""An objective: weights, and targets if any, on named terms. The papers' objectives are YAML files of such sums."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hfvae_runner import terms
from hfvae_runner.errors import ConfigError
from hfvae_runner.evidence import Evidence
from hfvae_runner.latents import Latents
from hfvae_runner.penalties import PenaltySpec
from hfvae_runner.schedules import Schedule
from hfvae_runner.terms._term import Term
from hfvae_runner.vocabulary import Estimator


@dataclass(frozen=True)
class Penalty:
    """weight·term, or weight·|term − target| with both already means over the batch."""

    name: str
    term: Term
    options: Mapping[str, object]
    weight: Schedule
    target: Schedule | None = None
    cap: float = math.inf

    def value(self, evidence: Evidence) -> Tensor:
        """The term itself, a scalar in nats per example."""
        return self.term(evidence, **self.options)

    def target_at(self, step: int) -> float | None:
        """The target by its schedule, kept at or below the cap."""
        return None if self.target is None else min(self.target(step), self.cap)


class Objective(nn.Module):
    """loss = Σ weight·term, rewards subtracted; terms with a target enter as weight·|term − target|.

    Args:
        penalties: in the order of the config.
        estimator: of the aggregate posterior, for the terms that need one.
    """

    def __init__(self, penalties: tuple[Penalty, ...], estimator: Estimator) -> None:
        super().__init__()
        self.penalties = penalties
        self.estimator: Estimator = estimator

    def knobs(self, step: int, device: torch.device) -> Tensor:
        """Weights (row 0) and targets (row 1, 0 where there is none) at an optimiser step, [2, penalties].

        A tensor, so that a compiled or captured step need not be made anew when a schedule moves.
        """
        weights = [penalty.weight(step) for penalty in self.penalties]
        targets = [penalty.target_at(step) or 0.0 for penalty in self.penalties]
        return torch.tensor([weights, targets], device=device)

    def forward(self, evidence: Evidence, knobs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, a scalar in nats per example, and every term's detached value by its penalty's name."""
        parts: list[Tensor] = []
        values: dict[str, Tensor] = {}
        for penalty, weight, target in zip(self.penalties, *knobs.unbind(), strict=True):
            value = penalty.value(evidence)
            values[penalty.name] = value.detach()
            # JointVAE Eq. 7: the divergence is averaged over the batch before the absolute value.
            parts.append(penalty.term.sign * weight * (value if penalty.target is None else (value - target).abs()))
        return torch.stack(parts).sum(), values


def build(specs: Mapping[str, PenaltySpec], estimator: Estimator, latents: Latents) -> Objective:
    """The objective that a config spells out, checked against the prior's blocks.

    Raises:
        ConfigError: a block that the prior lacks, an option's value that the term does not know, a cap without
            discrete blocks.
    """
    return Objective(tuple(_penalty(spec, latents) for spec in specs.values()), estimator)


def _penalty(spec: PenaltySpec, latents: Latents) -> Penalty:
    where = f"objective.terms.{spec.name}"
    term = terms.load(spec.term)
    blocks = spec.options.get("blocks")
    if blocks is not None and not (
        isinstance(blocks, list | tuple) and blocks and all(isinstance(b, str) for b in blocks)
    ):
        raise ConfigError(f"{where}.blocks: {blocks!r} is not a list of block names")
    try:
        selected = latents.select(blocks)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    method = spec.options.get("method", "closed_form")
    if method not in ("closed_form", "monte_carlo"):
        raise ConfigError(f"{where}.method: {method!r} is neither closed_form nor monte_carlo")
    cap = math.inf
    if spec.cap == "log_categories":
        chosen = [latents.blocks[g] for g in selected]
        if not all(block.discrete for block in chosen):
            raise ConfigError(f"{where}.cap: log_categories needs `blocks` that are all discrete")
        cap = sum(math.log(block.n_code) for block in chosen)
    return Penalty(spec.name, term, spec.options, spec.weight, spec.target, cap)

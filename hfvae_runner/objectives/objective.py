"""An objective: weights, and targets if any, on named terms. The papers' objectives are YAML files of such sums."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hfvae_runner.config.names import Estimator
from hfvae_runner.config.penalties import PenaltySpec
from hfvae_runner.config.schedules import Schedule, always_zero
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents import aggregate
from hfvae_runner.latents.blocks import Noise
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives import terms
from hfvae_runner.objectives.terms._term import Term


@dataclass(frozen=True)
class Penalty:
    """weight·term, or weight·|term − target| with both already means over the batch."""

    name: str
    term: Term
    weight: Schedule
    target: Schedule | None = None
    cap: float = math.inf

    def target_at(self, step: int) -> float | None:
        """Return the target by its schedule, kept at or below the cap."""
        return None if self.target is None else min(self.target(step), self.cap)


class Objective(nn.Module):
    """loss = Σ weight·term, rewards subtracted; terms with a target enter as weight·|term − target|.

    A term with parameters of its own (a critic) adds the loss that fits them, which moves nothing else.

    Args:
        penalties: in the order of the config.
        estimator: of the aggregate posterior, for the terms that need one.
    """

    def __init__(self, penalties: tuple[Penalty, ...], estimator: Estimator) -> None:
        super().__init__()
        self.penalties = penalties
        self.estimator: Estimator = estimator
        self.terms = nn.ModuleList(penalty.term for penalty in penalties)

    def knobs(self, step: int, device: torch.device) -> Tensor:
        """Weights (row 0) and targets (row 1, 0 where there is none) at an optimiser step, [2, penalties].

        A tensor, so that a compiled or captured step need not be made anew when a schedule moves.
        """
        weights = [penalty.weight(step) for penalty in self.penalties]
        targets = [penalty.target_at(step) or 0.0 for penalty in self.penalties]
        return torch.tensor([weights, targets], device=device)

    def noise(
        self, batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> list[Sequence[Noise]]:
        """Return the random numbers of one evaluation beside the posterior's, for each penalty."""
        return [penalty.term.noise(batch, generator, dtype) for penalty in self.penalties]

    def parameter_groups(self) -> list[dict[str, object]]:
        """Return the terms' own parameters as groups for an optimiser."""
        groups = [
            {"params": list(penalty.term.parameters()), **penalty.term.optimizer_options} for penalty in self.penalties
        ]
        return [group for group in groups if group["params"]]

    def forward(
        self, evidence: Evidence, knobs: Tensor, noise: Sequence[Sequence[Noise]]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a scalar in nats per example, and detached values: every term's by its penalty's name.

        The fit loss of a penalty ``NAME`` that has one stands under ``NAME_fit``.
        """
        parts: list[Tensor] = []
        values: dict[str, Tensor] = {}
        for penalty, own, weight, target in zip(self.penalties, noise, *knobs.unbind(), strict=True):
            value = penalty.term(evidence, own)
            values[penalty.name] = value.detach()
            # JointVAE Eq. 7: the divergence is averaged over the batch before the absolute value.
            parts.append(penalty.term.sign * weight * (value if penalty.target is None else (value - target).abs()))
            fit = penalty.term.fit(evidence, own)
            if fit is not None:
                values[f"{penalty.name}_fit"] = fit.detach()
                parts.append(fit)
        return torch.stack(parts).sum(), values


def build(specs: Mapping[str, PenaltySpec], estimator: Estimator, latents: Latents) -> Objective:
    """Return the objective that a config spells out, checked against the latents.

    A term whose weight is 0 at every step is left out, so that nothing is asked of the prior for its sake.

    Raises:
        ConfigError: a block that the prior lacks, an option's value that the term does not know, a cap without
            discrete blocks, a density finer than the prior's marginals.
    """
    asked = [spec for spec in specs.values() if not (always_zero(spec.weight) and spec.term != "reconstruction")]
    penalties = tuple(_penalty(spec, latents) for spec in asked)
    for penalty in penalties:
        _try(penalty, estimator, latents)
    return Objective(penalties, estimator)


def _penalty(spec: PenaltySpec, latents: Latents) -> Penalty:
    where = f"objective.terms.{spec.name}"
    try:
        term = terms.bind(spec.term, latents, spec.options)
    except ConfigError as error:
        raise ConfigError(f"{where}.{error}") from None
    cap = math.inf
    if spec.cap == "log_categories":
        blocks = spec.options.get("blocks")
        assert blocks is None or isinstance(blocks, list | tuple)
        chosen = [latents.blocks[g] for g in latents.select(blocks)]
        if not all(block.discrete for block in chosen):
            raise ConfigError(f"{where}.cap: log_categories needs `blocks` that are all discrete")
        cap = sum(math.log(block.n_code) for block in chosen)
    return Penalty(spec.name, term, spec.weight, spec.target, cap)


@torch.no_grad()
def _try(penalty: Penalty, estimator: Estimator, latents: Latents) -> None:
    """Evaluates the term once on two made-up examples: what it needs of the prior shows by itself."""
    generator = torch.Generator().manual_seed(0)
    posterior = [torch.zeros(2, block.n_parameters) for block in latents.blocks]
    sample = latents.sample(posterior, latents.noise(2, generator))
    q_z = aggregate.from_batch(latents, posterior, sample, estimator=estimator, n_data=2)
    evidence = Evidence(latents, posterior, sample, torch.zeros(2), q_z)
    try:
        penalty.term(evidence, penalty.term.noise(2, generator))
    except ConfigError as error:
        raise ConfigError(f"objective.terms.{penalty.name}: {error}") from None

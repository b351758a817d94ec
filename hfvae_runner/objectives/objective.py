"""An objective: a weighted sum of named terms, with optional targets. The papers' objectives are YAML files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hfvae_runner.config.control import PIControl, Weight
from hfvae_runner.config.names import Estimator
from hfvae_runner.config.penalties import PenaltySpec
from hfvae_runner.config.schedules import Schedule
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents import aggregate
from hfvae_runner.latents.blocks import Noise
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives import terms
from hfvae_runner.objectives.controller import Controller
from hfvae_runner.objectives.terms._term import Examples, Term


@dataclass(frozen=True)
class Penalty:
    """One summand of the loss: weight·term, or weight·|term − target|, where the term is already a batch mean.

    If the weight is controlled, the summand is weight·term, and the controller has a target.
    """

    name: str
    term: Term
    weight: Weight
    target: Schedule | None = None
    cap: float = math.inf

    @property
    def controlled(self) -> bool:
        """Whether a controller computes the weight within the step."""
        return isinstance(self.weight, PIControl)

    @property
    def schedules(self) -> dict[str, Schedule]:
        """What of ``weight`` and ``target`` is a function of the step; the target may be a controller's."""
        if isinstance(self.weight, PIControl):
            return {"target": self.weight.target}
        return {"weight": self.weight} if self.target is None else {"weight": self.weight, "target": self.target}

    def weight_at(self, step: int) -> float:
        """Return the scheduled weight at an optimiser step; 0 if it is controlled."""
        return self.schedules["weight"](step) if "weight" in self.schedules else 0.0

    def target_at(self, step: int) -> float | None:
        """Return the scheduled target at an optimiser step, at most ``cap``, or None without a target."""
        return min(self.schedules["target"](step), self.cap) if "target" in self.schedules else None


class Objective(nn.Module):
    """Loss Σ weight·term, from which rewards are subtracted. A term with a target enters as weight·|term − target|.

    A term with parameters of its own (a critic) adds a loss that trains these parameters only. A controlled weight is
    computed within ``forward`` from the term's value, which changes the controller's state.

    Args:
        penalties: the summands, in the order of the config.
        estimator: estimator of the aggregate posterior, for the terms that need one.
        latents: the latents to which the terms are bound.
    """

    def __init__(self, penalties: tuple[Penalty, ...], estimator: Estimator, latents: Latents) -> None:
        super().__init__()
        self.generates = any(penalty.term.generates for penalty in penalties)
        self._prior_noise = latents.prior_noise
        self.penalties = penalties
        self.estimator: Estimator = estimator
        self.terms = nn.ModuleList(penalty.term for penalty in penalties)
        weights = [penalty.weight for penalty in penalties]
        self.controllers = nn.ModuleList(Controller(weight) for weight in weights if isinstance(weight, PIControl))

    def knobs(self, step: int, device: torch.device) -> Tensor:
        """Return weights (row 0) and targets (row 1; 0 if a penalty has none) at an optimiser step, [2, penalties].

        A controlled weight is 0 here.
        They are a tensor so that a compiled or captured step is not rebuilt when a schedule changes a value.
        """
        weights = [penalty.weight_at(step) for penalty in self.penalties]
        targets = [penalty.target_at(step) or 0.0 for penalty in self.penalties]
        return torch.tensor([weights, targets], device=device)

    def noise(
        self, batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> list[Sequence[Noise]]:
        """Return each penalty's random numbers for one evaluation. The posterior's noise is not included.

        If a term compares generated examples, the prior's noise for these comes last; see ``draws``.
        """
        own: list[Sequence[Noise]] = [penalty.term.noise(batch, generator, dtype) for penalty in self.penalties]
        return [*own, self._prior_noise(batch, generator, dtype)] if self.generates else own

    def draws(self, noise: Sequence[Sequence[Noise]]) -> Sequence[Noise] | None:
        """Return the part of ``noise`` that is the prior's, of the examples to generate; None if none are needed."""
        return noise[-1] if self.generates else None

    def parameter_groups(self) -> list[dict[str, object]]:
        """Return the terms' own parameters as parameter groups for an optimiser."""
        groups = [
            {"params": list(penalty.term.parameters()), **penalty.term.optimizer_options} for penalty in self.penalties
        ]
        return [group for group in groups if group["params"]]

    def forward(
        self, evidence: Evidence, knobs: Tensor, noise: Sequence[Sequence[Noise]]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a scalar in nats per example, and detached values by their names in history.csv.

        These are ``term/NAME`` for the term of penalty ``NAME``, ``term/NAME_fit`` if the term has a fit loss, and
        ``weight/NAME`` if the weight is controlled.

        Args:
            evidence: the log-densities of one batch.
            knobs: weights and targets from ``knobs``, [2, penalties].
            noise: random numbers from ``noise``.
        """
        parts: list[Tensor] = []
        controllers = iter(self.controllers)
        values: dict[str, Tensor] = {}
        of_terms = noise[: len(self.penalties)]
        for penalty, own, weight, target in zip(self.penalties, of_terms, *knobs.unbind(), strict=True):
            value = penalty.term(evidence, own)
            values[f"term/{penalty.name}"] = value.detach()
            if penalty.controlled:
                # As in the authors' code, the weight of a step already answers the value of the same step.
                weight = next(controllers)(value.detach(), target)
                values[f"weight/{penalty.name}"] = weight
            # JointVAE Eq. 7: the divergence is averaged over the batch before the absolute value.
            parts.append(penalty.term.sign * weight * (value if penalty.target is None else (value - target).abs()))
            fit = penalty.term.fit(evidence, own)
            if fit is not None:
                values[f"term/{penalty.name}_fit"] = fit.detach()
                parts.append(fit)
        return torch.stack(parts).sum(), values


def build(
    specs: Mapping[str, PenaltySpec], estimator: Estimator, latents: Latents, examples: Examples | None = None
) -> Objective:
    """Build the objective of a config and check it against the latents.

    A term whose weight is 0 at every step is omitted, so that it does not require anything of the prior.

    Args:
        specs: the parsed terms.
        estimator: estimator of the aggregate posterior.
        latents: the latents.
        examples: what terms with networks that read examples must know of them; other terms do not need it.

    Raises:
        ConfigError: the prior lacks a named block, an option's value is invalid for its term, a cap is set with blocks
            that are not all discrete, the weight of a reward is controlled, or a term requires a density at a finer
            level than the prior's marginals.
    """
    penalties = tuple(_penalty(spec, latents, examples) for spec in specs.values() if not spec.absent)
    for penalty in penalties:
        if not penalty.term.generates:
            _try(penalty, estimator, latents)
    return Objective(penalties, estimator, latents)


def _penalty(spec: PenaltySpec, latents: Latents, examples: Examples | None) -> Penalty:
    where = f"objective.terms.{spec.name}"
    try:
        term = terms.bind(spec.term, latents, spec.options, examples)
    except ConfigError as error:
        raise ConfigError(f"{where}.{error}") from None
    if term.sign < 0 and isinstance(spec.weight, PIControl):
        raise ConfigError(
            f"{where}.weight: pi_control lowers a term by a larger weight, but {spec.term} is a reward and grows with "
            "it; expected a number or a schedule"
        )
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
    """Evaluate the term once on two artificial examples, to check that the prior has the densities that it requires.

    Raises:
        ConfigError: the evaluation raised one; the penalty's name is added to its message.
    """
    generator = torch.Generator().manual_seed(0)
    posterior = latents.posterior(torch.zeros(2, latents.n_parameters))
    sample = latents.sample(posterior, latents.noise(2, generator))
    q_z = aggregate.from_batch(latents, posterior, sample, estimator=estimator, n_data=2)
    evidence = Evidence(latents, posterior, sample, torch.zeros(2), q_z)
    try:
        penalty.term(evidence, penalty.term.noise(2, generator))
    except ConfigError as error:
        raise ConfigError(f"objective.terms.{penalty.name}: {error}") from None

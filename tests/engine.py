"""What the engine's proofs share: random posteriors, objectives as conf/ spells them, and q̂(z) written out naively.

The oracles use torch.distributions and plain sums over components and categories, and nothing of the package's own
densities or mixtures. Everything is float64.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, product
from pathlib import Path
from typing import Any, get_args

import torch
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import Tensor
from torch.distributions import Categorical, Normal
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical

from hfvae_runner.config.names import DiscreteDensity, Estimator, Level
from hfvae_runner.config.penalties import parse_terms
from hfvae_runner.latents import aggregate
from hfvae_runner.latents.aggregate import Aggregate
from hfvae_runner.latents.blocks import Block, ConcreteBlock, NormalBlock, Posterior, Sample
from hfvae_runner.latents.estimators import log_weights
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.normal import StandardNormal
from hfvae_runner.latents.priors.normal_concrete import UniformConcrete
from hfvae_runner.objectives import objective, terms
from hfvae_runner.objectives.objective import Objective
from hfvae_runner.storage.run_folder import RunFolder
from hfvae_runner.training.checkpoint import State
from hfvae_runner.training.loop import train
from hfvae_runner.training.member import Member
from hfvae_runner.training.run import Run

OBJECTIVES = Path(__file__).parents[1] / "conf" / "objective"
LEVELS: tuple[Level, ...] = ("joint", "block", "factor")
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
DENSITIES: tuple[DiscreteDensity, ...] = get_args(DiscreteDensity)
TEMPERATURE = 0.66
CPU = torch.device("cpu")


def blocks(*sizes: int, density: DiscreteDensity = "argmax") -> Latents:
    """Blocks a, b, …: a positive size is a normal block of that many factors, a negative one a variable over −size."""
    return under_default_priors(
        *(
            NormalBlock(name, size) if size > 0 else ConcreteBlock(name, -size, TEMPERATURE, density)
            for name, size in zip("abcdef", sizes, strict=False)
        )
    )


def under_default_priors(*chosen: NormalBlock | ConcreteBlock) -> Latents:
    """The blocks under standard normal and uniform priors."""
    return Latents(
        [StandardNormal(block) if isinstance(block, NormalBlock) else UniformConcrete(block) for block in chosen]
    )


LAYOUTS = ((3,), (-3,), (2, -3), (2, 1), (1, -2, 2, -3))
layouts = st.lists(st.sampled_from((1, 2, 3, -2, -3, -4)), min_size=1, max_size=4).map(tuple)
estimators = st.sampled_from(get_args(Estimator))
densities = st.sampled_from(DENSITIES)
seeds = st.integers(0, 2**31)


def a_posterior(latents: Latents, batch: int, seed: int) -> list[Tensor]:
    """Random parameters of every block, [B, P_g], in float64."""
    generator = torch.Generator().manual_seed(seed)
    outputs = [
        torch.randn(batch, block.n_parameters, generator=generator, dtype=torch.float64) for block in latents.blocks
    ]
    return latents.posterior(torch.cat(outputs, dim=1))


def a_sample(latents: Latents, posterior: Posterior, seed: int, *, hard: bool = False) -> Sample:
    generator = torch.Generator().manual_seed(seed)
    return latents.sample(posterior, latents.noise(len(posterior[0]), generator, torch.float64), hard=hard)


@dataclass(frozen=True)
class Drawn:
    """A batch of a data set of ``n_data`` examples, with one sample each."""

    latents: Latents
    posterior: list[Tensor]
    sample: Sample
    n_data: int

    def aggregate(self, estimator: Estimator) -> Aggregate:
        return aggregate.from_batch(self.latents, self.posterior, self.sample, estimator=estimator, n_data=self.n_data)

    def evidence(self, estimator: Estimator) -> Evidence:
        log_px = torch.linspace(-90, -70, len(self.posterior[0]), dtype=torch.float64)
        return Evidence(self.latents, self.posterior, self.sample, log_px, self.aggregate(estimator))


def drawn(latents: Latents, batch: int, n_data: int, seed: int = 0, *, hard: bool = False) -> Drawn:
    posterior = a_posterior(latents, batch, seed)
    return Drawn(latents, posterior, a_sample(latents, posterior, seed + 1, hard=hard), n_data)


def per_example(name: str, evidence: Evidence, **options: object) -> Tensor:
    """A term before its mean over the batch, [B]."""
    return terms.mean(name).per_example(evidence, **options)


@cache
def _resolved(name: str, knobs: str) -> dict[str, Any]:
    config = OmegaConf.load(OBJECTIVES / f"{name}.yaml")
    for knob, value in json.loads(knobs).items():
        assert knob in config, f"objective={name} has no knob {knob}"
        config[knob] = value
    spec: dict[str, Any] = OmegaConf.to_container(config, resolve=True)["objective"]
    return spec


def objective_spec(name: str, **knobs: object) -> dict[str, Any]:
    """The ``objective`` section of conf/objective/NAME.yaml, with some of its knobs set."""
    return _resolved(name, json.dumps(knobs, sort_keys=True))


def objective_of(name: str, latents: Latents, estimator: Estimator | None = None, **knobs: object) -> Objective:
    """The objective that conf/objective/NAME.yaml spells out, with its own estimator or another."""
    spec = objective_spec(name, **knobs)
    return objective.build(parse_terms(spec["terms"]), estimator or spec["estimator"], latents)


def loss_of(built: Objective, evidence: Evidence, step: int = 0) -> Tensor:
    noise = built.noise(len(evidence.log_px), torch.Generator().manual_seed(0), torch.float64)
    loss, _values = built(evidence, built.knobs(step, CPU), noise)
    return loss


def component_log_probs(block: Block, parameters: Tensor, sample: Tensor) -> Tensor:
    """log q(z_s,d | x_m), [S, M, D], by torch.distributions."""
    if isinstance(block, NormalBlock):
        mean, log_scale = parameters[:, : block.size], parameters[:, block.size :]
        return Normal(mean, log_scale.exp()).log_prob(sample[:, None])
    assert isinstance(block, ConcreteBlock)
    if block.density == "argmax":
        return Categorical(logits=parameters).log_prob(sample.argmax(1)[:, None])[..., None]
    relaxed = ExpRelaxedCategorical(torch.tensor(block.temperature, dtype=torch.float64), logits=parameters)
    # ExpRelaxedCategorical wants one sample per component.
    pairs = sample[:, None].expand(-1, len(parameters), -1)
    return relaxed.log_prob(pairs)[..., None]


def naive_log_mixture(
    latents: Latents, members: Sequence[tuple[int, int]], components: Posterior, sample: Sample, weights: Tensor
) -> Tensor:
    """log Σ_m w_sm Π q(z_s | x_m) over the member factors (block, factor), [S]; averaged over enumerated categories.

    Args:
        weights: [S, M], not their logarithms; component s is the sample's own where a block is enumerated.
    """
    log_joint = weights.log()
    enumerated = []
    for g, d in members:
        block = latents.blocks[g]
        if block.enumerated:
            enumerated.append(torch.softmax(components[g], dim=1))
        else:
            log_joint = log_joint + component_log_probs(block, components[g], sample[g])[..., d]
    total = torch.zeros(len(weights), dtype=torch.float64)
    for categories in product(*(range(probs.shape[1]) for probs in enumerated)):
        picked = torch.ones(len(components[0]), dtype=torch.float64)
        for probs, k in zip(enumerated, categories, strict=True):
            picked = picked * probs[:, k]
        own = picked[: len(weights)] if enumerated else 1.0
        total = total + own * torch.logsumexp(log_joint + picked.log(), dim=1)
    return total


def naive_log_q(
    latents: Latents,
    level: Level,
    components: Posterior,
    sample: Sample,
    weights: Tensor,
    chosen: Sequence[int] | None = None,
) -> Tensor:
    """log q̂ at a level, [S], [S, G] or [S, F], by ``naive_log_mixture``."""
    chosen = range(len(latents.blocks)) if chosen is None else chosen
    factors = [[(g, d) for d in range(len(latents.blocks[g].factor_names))] for g in chosen]
    match level:
        case "joint":
            return naive_log_mixture(latents, list(chain.from_iterable(factors)), components, sample, weights)
        case "block":
            groups = factors
        case "factor":
            groups = [[factor] for block in factors for factor in block]
    return torch.stack([naive_log_mixture(latents, group, components, sample, weights) for group in groups], dim=1)


def weight_table(estimator: Estimator, batch: int, n_data: int) -> Tensor:
    """An estimator's weights, [B, B] float64, not their logarithms."""
    return log_weights(estimator, batch, n_data).table(batch, batch, like=torch.empty(0, dtype=torch.float64)).exp()


def naive_batch_log_q(batch: Drawn, estimator: Estimator, level: Level) -> Tensor:
    size = len(batch.posterior[0])
    weights = weight_table(estimator, size, batch.n_data)
    return naive_log_q(batch.latents, level, batch.posterior, batch.sample, weights)


def uniform(samples: int, components: int) -> Tensor:
    """The weights of the exact aggregate posterior, [S, M]."""
    return torch.full((samples, components), 1 / components, dtype=torch.float64)


def naive_log_qz_x(latents: Latents, posterior: Posterior, sample: Sample) -> Tensor:
    """log q(z_d|x) of each example's own sample, [B, F]; −H where a block is enumerated."""
    columns = []
    for block, parameters, z in zip(latents.blocks, posterior, sample, strict=True):
        if block.enumerated:
            columns.append(-Categorical(logits=parameters).entropy()[:, None])
        else:
            columns.append(component_log_probs(block, parameters, z).diagonal().T)
    return torch.cat(columns, dim=1)


def naive_log_pz(latents: Latents, sample: Sample) -> Tensor:
    """log p(z_d), [B, F]: standard normal, and uniform (or the Concrete with equal weights)."""
    columns = []
    for block, z in zip(latents.blocks, sample, strict=True):
        if isinstance(block, ConcreteBlock) and block.density != "concrete":
            columns.append(torch.full((len(z), 1), -math.log(block.categories), dtype=torch.float64))
        else:
            parameters = torch.zeros(len(z), block.n_parameters, dtype=torch.float64)
            columns.append(component_log_probs(block, parameters, z).diagonal().T)
    return torch.cat(columns, dim=1)


def standard_error(values: Tensor) -> Tensor:
    """Of the mean over the first dimension."""
    return values.std(0) / math.sqrt(len(values))


def train_alone(run: Run, state: State, folder: RunFolder) -> None:
    """Trains one run, without measurements on the way; raises what ended it before its time."""
    member = Member(run, state, folder, Rows(folder))
    train([member])
    if member.error is not None:
        raise member.error


class Rows:
    """For a training run without measurements on the way."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def row(self, row: Mapping[str, float | int]) -> None:
        self.folder.history.append(row)

    def measure(self, step: int) -> None:
        raise AssertionError("not asked for")

    def discard_after(self, step: int) -> None:
        raise AssertionError("nothing to take back")

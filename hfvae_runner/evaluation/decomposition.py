"""The ELBO and every term of its decomposition on a whole split, under the exact aggregate posterior.

Shapes: N examples of the split; S of them whose draws are scored against all N posteriors; F factors. Nats per example.
Each example has one sample: normal factors are drawn from the posterior, Concrete ones as categorical draws. A split's
aggregate posterior is the mixture of its own N posteriors. All other metrics are in ``metrics/``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hfvae_runner.config.names import Level, levels_to
from hfvae_runner.console import progress
from hfvae_runner.data import Split, as_float
from hfvae_runner.data.sampling import draws
from hfvae_runner.errors import Diverged
from hfvae_runner.latents.aggregate import ExactAggregate
from hfvae_runner.latents.blocks import Posterior, QuantisedBlock, Sample
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.metrics import NO_DENSITY, undefined
from hfvae_runner.models.vae import VAE
from hfvae_runner.objectives import terms
from hfvae_runner.training.seeds import derived

# Every reported term, and the level of the prior's marginals that it requires.
_REPORTED: Mapping[str, Level] = {
    "mutual_information": "joint",
    "group_tc": "block",
    "within_tc": "factor",
    "dimension_kl": "factor",
    "total_correlation": "joint",
    "marginal_kl": "joint",
    "block_kl": "block",
}


@dataclass(frozen=True)
class Encoded:
    """An encoded split, in a fixed random order.

    Attributes:
        latents: the blocks; discrete ones are scored by their pmf at the drawn category.
        posterior: the parameters of each block, [N, P_g].
        sample: one draw per example, [N, C_g] for each block.
        log_px: log p(x|z) of that draw, [N], nats.
        labels: [N] or None.
        order: the indices of these examples in the split, int64 [N].
        factors: each example's values of the data set's factors, [N, K], or None.
        attributes: [N, A] bool, or None.
        magnitudes: [N, K], the numbers that the factors' values stand for; None where they are these.
    """

    latents: Latents
    posterior: Posterior
    sample: Sample
    log_px: Tensor
    labels: Tensor | None
    order: Tensor
    factors: Tensor | None = None
    attributes: Tensor | None = None
    magnitudes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.log_px)


@torch.no_grad()
def encode(
    model: VAE, split: Split, *, seed: int, batch_size: int, device: torch.device, show_progress: bool = False
) -> Encoded:
    """Encode and sample a split, ``batch_size`` examples at a time; the batch size does not change the draws.

    From a split with weights, N rows are drawn in proportion to them, so that all means are over p(n).
    """
    model.eval()
    # In random order, since a data set may be stored class by class and only the first S examples may be scored.
    order = draws(len(split), split.weights, torch.Generator().manual_seed(derived(seed, "order")))
    # Drawn for all examples at once: drawn by batches, the blocks' use of the generator would depend on the batch size.
    noise = model.latents.noise(len(split), torch.Generator(device).manual_seed(derived(seed, "noise")))
    # In place: small results kept from each batch would fragment the heap, which would grow by one large temporary per
    # batch, to 12 GB for dSprites.
    latents = model.latents
    posterior = [torch.empty(len(split), width, device=device) for width in latents.posterior_widths]
    sample = [torch.empty(len(split), block.n_code, device=device) for block in latents.blocks]
    log_px = torch.empty(len(split), device=device)
    for start in progress(range(0, len(split), batch_size), "encoding", wanted=show_progress):
        part = slice(start, start + batch_size)
        x = as_float(split.x[order[part].to(split.x.device)].to(device))
        parameters = model.encode(x)
        drawn = model.latents.sample(parameters, [each[part] for each in noise], hard=True)
        log_px[part] = model.likelihood.log_prob(x, model.decode(model.latents.code(drawn)))
        for whole, found in zip([*posterior, *sample], [*parameters, *drawn], strict=True):
            whole[part] = found
    return Encoded(
        model.latents.with_density("argmax"),
        posterior,
        sample,
        log_px,
        None if split.labels is None else split.labels[order],
        order,
        *(None if known is None else known[order] for known in (split.factors, split.attributes, split.magnitudes)),
    )


@dataclass(frozen=True)
class Evaluation:
    """One split's terms, and the values that the figures need.

    Attributes:
        metrics: the split's section of metrics.json, without the metrics that ``metrics=`` chooses.
        elbo: log p(x|z) − KL of each example, [N], nats; None if a block is quantised.
        kl: KL per factor, [F], nats; None if the prior has no marginals per factor, or if a block is quantised.
        information: index-code mutual information per factor, [F], nats.
    """

    metrics: dict[str, object]
    elbo: np.ndarray | None
    kl: np.ndarray | None
    information: np.ndarray


@torch.no_grad()
def evaluate(encoded: Encoded, exact_limit: float, *, show_progress: bool = False) -> Evaluation:
    """Compute the ELBO, the KL and every term of its decomposition.

    q(z) is the mixture of all N posteriors, not a batch's estimate. It is evaluated at every example's draw if N·N·F is
    at most ``exact_limit``, else at the draws of the first S examples, as many as the limit allows. In that case every
    term that contains q(z) has a standard error over the S examples, and ``kl_mc`` is computed on the same S examples,
    so that it remains the sum of the terms.

    A quantised block has no density. If there is one, the ELBO and its terms are null, and the KL per block and factor
    and q(z) are those of the other blocks. The information of a quantised factor is the entropy of its values, which is
    exact.

    Args:
        encoded: the split, in random order.
        exact_limit: the largest number of densities to evaluate.
        show_progress: whether to show a progress bar.

    Raises:
        Diverged: a value is not finite.
    """
    latents, n = encoded.latents, len(encoded)
    scored = min(n, max(2, int(exact_limit // (n * len(latents.factor_names)))))
    evidence = _evidence(encoded, scored, show_progress)
    everything = evidence if scored == n else _evidence(encoded, n, show_progress)
    if len(latents.scored) < len(latents.blocks):
        return _without_elbo(encoded, evidence, everything)
    kl_per_example = everything.kl("joint").double()
    joint_kl = kl_per_example.mean().item()
    sampled_kl = (evidence.log_qz_x("joint") - evidence.log_pz("joint")).double()
    kl = _mean(everything.kl("factor")) if latents.finest == "factor" else None
    information = _mean(evidence.log_qz_x("factor") - evidence.log_qz("factor"))
    reconstruction = encoded.log_px.double().mean().item()
    metrics: dict[str, object] = {
        "examples": n,
        "elbo": reconstruction - joint_kl,
        "reconstruction": reconstruction,
        "kl": joint_kl,
        "kl_mc": sampled_kl.mean().item(),
        "kl_mc_se": _standard_error(sampled_kl),
    }
    metrics |= _by_level(evidence, everything, kl)
    metrics["aggregate_posterior"] = _how(evidence, scored, n)
    metrics["information_per_factor"] = _named(latents.factor_names, information)
    _check_finite(metrics)
    elbo = (encoded.log_px.double() - kl_per_example).cpu().numpy()
    return Evaluation(metrics, elbo, kl, information)


def _without_elbo(encoded: Encoded, evidence: Evidence, everything: Evidence) -> Evaluation:
    """Evaluate latents with a quantised block; ``evidence`` is of the scored examples, ``everything`` of all."""
    latents, n = encoded.latents, len(encoded)
    names = [latents.blocks[g].name for g in latents.scored]
    of_others = [name for g in latents.scored for name in latents.blocks[g].factor_names]
    metrics: dict[str, object] = {"examples": n, "reconstruction": encoded.log_px.double().mean().item()}
    metrics |= undefined(("elbo", "kl", "kl_mc", "kl_mc_se", *_REPORTED), NO_DENSITY)
    information: dict[str, float] = {}
    if not names:
        metrics |= undefined(("kl_per_block", "kl_per_factor", "aggregate_posterior"), NO_DENSITY)
    else:
        metrics["kl_per_block"] = _named(names, _mean(everything.kl("block", names)))
        metrics["kl_per_factor"] = _named(of_others, _mean(everything.kl("factor", names)))
        own = evidence.log_qz_x("factor", names) - evidence.log_qz("factor", names)
        information = _named(of_others, _mean(own))
        metrics["aggregate_posterior"] = {"components": n, "draws": len(evidence.log_px)}
    for block, parameters in zip(latents.blocks, encoded.posterior, strict=True):
        if isinstance(block, QuantisedBlock):
            information |= dict(zip(block.factor_names, _entropies(block, parameters), strict=True))
    # In the order of the factors.
    information = {name: information[name] for name in latents.factor_names}
    metrics["information_per_factor"] = information
    _check_finite(metrics)
    return Evaluation(metrics, None, None, np.array(list(information.values())))


def _entropies(block: QuantisedBlock, parameters: Tensor) -> list[float]:
    """Return the entropy of each factor's values over the examples, D numbers, nats.

    It is I(x; z_d), since x determines z_d.
    """
    counts = torch.stack([torch.bincount(each, minlength=block.n_values) for each in block.index(parameters).T])
    entropies: list[float] = torch.special.entr(counts.double() / len(parameters)).sum(1).tolist()
    return entropies


def _check_finite(metrics: Mapping[str, object]) -> None:
    if broken := [key for key, value in metrics.items() if isinstance(value, float) and not math.isfinite(value)]:
        raise Diverged(f"{', '.join(broken)} not finite")


def _evidence(encoded: Encoded, scored: int, show_progress: bool) -> Evidence:
    """Return the log-densities of the first ``scored`` examples, with the mixture of all posteriors as q(z)."""
    posterior, sample = ([part[:scored] for part in parts] for parts in (encoded.posterior, encoded.sample))
    aggregate = ExactAggregate(encoded.latents, encoded.posterior, sample, show_progress=show_progress)
    return Evidence(encoded.latents, posterior, sample, encoded.log_px[:scored], aggregate)


def _how(evidence: Evidence, scored: int, n: int) -> dict[str, object]:
    """Describe how log q(z) was evaluated, with the standard errors of the terms that contain it."""
    own_share = evidence.own_share()
    assert own_share is not None
    how: dict[str, object] = {"components": n, "draws": scored, "own_share": own_share.double().mean().item()}
    if scored < n:
        levels = levels_to(evidence.latents.finest)
        how["standard_errors"] = {
            name: _standard_error(terms.mean(name).per_example(evidence))
            for name, level in _REPORTED.items()
            if level in levels
        }
    return how


def _standard_error(values: Tensor) -> float:
    return (values.double().std() / math.sqrt(len(values))).item()


def _mean(values: Tensor) -> np.ndarray:
    return values.double().mean(0).cpu().numpy()


def _by_level(evidence: Evidence, everything: Evidence, kl: np.ndarray | None) -> dict[str, object]:
    """Compute every reported term and the KL per block and factor; null if the prior lacks the marginals."""
    latents = evidence.latents
    levels = levels_to(latents.finest)
    coarse = f"the prior has marginals at the level {latents.finest!r} and none finer"
    metrics: dict[str, object] = {}
    for name, level in _REPORTED.items():
        metrics |= {name: _term(name, evidence)} if level in levels else undefined([name], coarse)
    if "block" in levels:
        names = [block.name for block in latents.blocks]
        metrics["kl_per_block"] = dict(zip(names, _mean(everything.kl("block")).tolist(), strict=True))
    return metrics | (
        undefined(["kl_per_factor"], coarse) if kl is None else {"kl_per_factor": _named(latents.factor_names, kl)}
    )


def _term(name: str, evidence: Evidence) -> float:
    return terms.mean(name).per_example(evidence).double().mean().item()


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    """Return the values by the names of blocks or factors."""
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def factor_is_discrete(latents: Latents) -> list[bool]:
    """Return, for each of the F factors, whether it is a discrete variable; a quantised factor is one."""
    return [block.discrete or isinstance(block, QuantisedBlock) for block in latents.blocks for _ in block.factor_names]

"""The decompositions of the KL: HFVAE's Fig. 1 and 3, Eq. 6 and Table 1, β-TCVAE's Eq. 4, JointVAE's Eq. 7."""

import math
from collections.abc import Callable
from functools import cache
from itertools import combinations, permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hfvae_runner.config.names import Estimator
from hfvae_runner.config.penalties import parse_terms
from hfvae_runner.latents import aggregate
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.launch.composition import composed
from hfvae_runner.metrics.label_information import categorical_label_information
from hfvae_runner.objectives import objective, terms
from hfvae_runner.reproduce.computations._posteriors import RHO, Batch, Terms, batches, correlated, factorial, sides
from hfvae_runner.reproduce.statements import Statement

ROUNDING = 1e-9
_N, _B = 6, 3
"""Data set and batch of which all batches are enumerated."""


def statements() -> list[Statement]:
    """Return the statements, in the order of the papers."""
    return [*_figures_1_and_3(), *_estimators(), *_table_1(), *_others(), _label_information()]


def _term(name: str, batch: Batch) -> Tensor:
    return terms.mean(name).per_example(batch.evidence()).mean()


def _figures_1_and_3() -> list[Statement]:
    every = [*batches(factorial()), *batches([correlated()], RHO)]

    def total(*names: str) -> Callable[[Batch], Tensor]:
        return lambda batch: torch.stack([_term(name, batch) for name in names]).sum()

    def row(what: str, where: str, left: Callable[[Batch], Tensor], right: Callable[[Terms], Tensor]) -> Statement:
        return Statement(what, where, *sides(every, left, right), ROUNDING)

    return [
        row(
            "② + ④ = E[log q(z|x) − log p(z)]", "HFVAE Fig. 1",
            total("mutual_information", "marginal_kl"), lambda t: t.ratio,
        ),
        row(
            "A + B = ④, also where p(z) is no product", "HFVAE Fig. 3",
            total("group_tc", "block_kl"), lambda t: t.marginal,
        ),
        row("i + ii = B", "HFVAE Fig. 3", total("within_tc", "dimension_kl"), lambda t: t.blocks),
        row(
            "② + A + i + ii = E[log q(z|x) − log p(z)]", "HFVAE Fig. 3",
            total("mutual_information", "group_tc", "within_tc", "dimension_kl"), lambda t: t.ratio,
        ),
    ]  # fmt: skip


def _estimators() -> list[Statement]:
    """q̂(z) of every batch that holds an example, averaged; and the mean of its logarithm."""
    latents = normal(size=1)
    generator = torch.Generator().manual_seed(0)
    posterior = torch.randn(_N, 2, generator=generator).double()
    z = latents.sample([posterior], latents.noise(_N, generator, torch.float64))[0]
    density = torch.distributions.Normal(posterior[:, 0], posterior[:, 1].exp()).log_prob(z).exp()
    exact = density.mean(1)

    def estimates(estimator: Estimator, n: int, others: tuple[int, ...]) -> float:
        chosen = [n, *others]
        found = aggregate.from_batch(
            latents, [posterior[chosen]], [z[chosen]], estimator=estimator, n_data=_N
        ).log_prob("joint", [0])
        return float(found[0])

    def over(estimator: Estimator, n: int, choose: Any) -> list[float]:
        rest = [each for each in range(_N) if each != n]
        return [estimates(estimator, n, others) for others in choose(rest, _B - 1)]

    stratified = [over("stratified", n, combinations) for n in range(_N)]
    ordered = [over("mss", n, permutations) for n in range(_N)]
    return [
        Statement(
            "E[q̂(z)] = q(z) over all batches: the partially stratified estimate", "HFVAE Eq. 6, 11",
            [float(np.exp(each).mean()) for each in stratified], exact.tolist(), ROUNDING,
        ),
        Statement(
            "log q(z) > E[log q̂(z)], so that the entropy's estimate is an upper bound", "HFVAE Eq. 12, 13",
            exact.log().tolist(), [float(np.mean(each)) for each in stratified], ROUNDING, "greater",
        ),
        Statement(
            "E[q̂(z)] = q(z) over all ordered batches: stratified sampling", "β-TCVAE App. C.2",
            [float(np.exp(each).mean()) for each in ordered], exact.tolist(), ROUNDING,
        ),
    ]  # fmt: skip


@cache
def _spec(name: str, *knobs: str) -> Any:
    return composed([f"objective={name}", "prior=normal", *knobs])["objective"]


def _loss(name: str, latents: Latents, *overrides: str) -> Callable[[Batch, int], Tensor]:
    """The loss of conf/objective/NAME.yaml with its knobs, of a batch at an optimiser step."""
    spec = _spec(name, *overrides)
    built = objective.build(parse_terms(spec["terms"]), spec["estimator"], latents)

    def loss(batch: Batch, step: int = 0) -> Tensor:
        noise = built.noise(len(batch.log_px), torch.Generator().manual_seed(0), torch.float64)
        total: Tensor = built(batch.evidence(), built.knobs(step, torch.device("cpu")), noise)[0]
        return total

    return loss


def _table_1() -> list[Statement]:
    """Each row's objective as conf/ has it against the paper's sum of terms; the loss is its negative."""
    plain, both = factorial(), [*factorial(), correlated()]
    rows: list[tuple[str, str, list[str], list[Latents], Callable[[Terms], Tensor]]] = [
        ("Kingma & Welling: ①+②+③+④", "vae", [], both, lambda t: t.rest + t.kl),
        ("Higgins et al.: ①+③+β(②+④)", "beta_vae", ["beta=3"], both, lambda t: t.rest + 3 * t.kl),
        (
            "Kumar et al.: ①+②+③+λ④", "kumar_table1", ["lambda=7"], both,
            lambda t: t.rest + t.information + 7 * t.marginal,
        ),
        ("Zhao et al.: ①+③+λ④", "zhao_table1", ["lambda=7"], both, lambda t: t.rest + 7 * t.marginal),
        (
            "Burgess et al.: ①+③+γ|(②+④)−C|", "annealed_vae", ["gamma=5", "capacity=20", "ramp_steps=1"], both,
            lambda t: t.rest + 5 * (t.kl - 20).abs(),
        ),
        (
            "Achille & Soatto: ①+③+β②+γA", "achille_soatto_table1", ["beta=2", "gamma=5"], plain,
            lambda t: t.rest + 2 * t.information + 5 * t.correlation,
        ),
        (
            "Kim & Mnih, Chen et al.: ①+②+③+B+βA", "kim_chen_table1", ["beta=6"], plain,
            lambda t: t.rest + t.information + t.factors + 6 * t.correlation,
        ),
        (
            "HFVAE: ①+③+ii+α②+βA+γi", "hfvae", ["alpha=0.5", "beta=4", "gamma=3"], both,
            lambda t: t.rest + t.factors + 0.5 * t.information + 4 * t.between + 3 * t.within,
        ),
    ]  # fmt: skip
    found = []
    for what, name, knobs, layouts, right in rows:
        cases = [case for latents in layouts for case in _of(latents)]
        losses = {id(latents): _loss(name, latents, *knobs) for latents in layouts}
        found.append(Statement(what, "HFVAE Table 1", *sides(cases, _by_layout(losses), right), 1e-6))
    return [*found, _anchors()]


def _by_layout(losses: dict[int, Callable[[Batch, int], Tensor]]) -> Callable[[Batch], Tensor]:
    # After one step, where the capacity's ramp has ended.
    return lambda batch: losses[id(batch.latents)](batch, 1)


def _of(latents: Latents) -> list[Batch]:
    """Batches of a layout, whose prior is correlated if its two groups are."""
    return batches([latents], float(latents.settings().get("correlation", 0.0) or 0.0))  # type: ignore[arg-type]


def _anchors() -> Statement:
    """Gao et al.: the first block is the anchor."""
    left: list[float] = []
    right: list[float] = []
    for latents in factorial()[1:]:
        name = latents.blocks[0].name
        loss = _loss("corex_anchor", latents, "lambda=0.7", f"anchors=[{name}]")
        found = sides(_of(latents), _by_layout({id(latents): loss}), lambda t: t.rest + t.kl - 0.7 * t.first_block)
        left += found[0]
        right += found[1]
    return Statement("Gao et al.: ①+②+③+④−λ②ᵃ", "HFVAE Table 1", left, right, 1e-6)


def _others() -> list[Statement]:
    """Special cases of HFVAE, β-TCVAE's equation, and JointVAE's capacities."""
    special: tuple[list[float], list[float]] = [], []
    chen: tuple[list[float], list[float]] = [], []
    for latents in factorial():
        hfvae, kim = _loss("hfvae", latents, "beta=6", "gamma=6"), _loss("kim_chen_table1", latents, "beta=6")
        tcvae = _loss("beta_tcvae", latents, "alpha=0.5", "beta=6", "gamma=3", "estimator=stratified")
        for case in _of(latents):
            special[0].append(float(hfvae(case, 0)))
            special[1].append(float(kim(case, 0)))
            t = Terms(case)
            chen[0].append(float(tcvae(case, 0)))
            chen[1].append(float(t.rest + 0.5 * t.information + 6 * t.correlation + 3 * t.factors))
    mixed = factorial()[1]
    joint = _loss("joint_vae", mixed, "gamma=30", "capacity_continuous=5", "capacity_discrete=5", "ramp_steps=100")
    left, right = [], []
    for case in _of(mixed):
        continuous, discrete = _kl_by_kind(case)
        for step in (10, 50, 100):
            c_z, c_c = 5 * step / 100, min(5 * step / 100, math.log(3))
            left.append(float(joint(case, step)))
            right.append(float(Terms(case).rest + 30 * (continuous - c_z).abs() + 30 * (discrete - c_c).abs()))
    return [
        Statement("HFVAE with β = γ and α = 1 is Kim & Mnih's and Chen et al.'s row", "HFVAE Sec. 3", *special, 1e-6),
        Statement("the loss is −E[log p(x|z)] + α·I + β·TC + γ·Σ KL(q(z_d) ‖ p(z_d))", "β-TCVAE Eq. 4", *chen, 1e-6),
        Statement(
            "the loss is −E[log p(x|z)] + γ|KL_z − C_z| + γ|KL_c − C_c|, C_c at most log K", "JointVAE Eq. 7",
            left, right, 1e-4,
        ),
    ]  # fmt: skip


def _kl_by_kind(batch: Batch) -> tuple[Tensor, Tensor]:
    """The closed forms of the normal and of the categorical block, as JointVAE's App. A has them."""
    mean, log_scale = batch.posterior[0].chunk(2, dim=1)
    continuous = 0.5 * (mean**2 + (2 * log_scale).exp() - 1 - 2 * log_scale).sum(1).mean()
    probabilities = batch.posterior[1].softmax(1)
    # KL(q ‖ uniform) = log K − H(q).
    entropy = -(probabilities * probabilities.log()).sum(1)
    return continuous, (math.log(probabilities.shape[1]) - entropy).mean()


def _label_information() -> Statement:
    """I(y; c) of a categorical variable: the metric against H(y) + H(c) − H(y, c)."""
    left, right = [], []
    for seed in range(4):
        random = np.random.default_rng(seed)
        probabilities = random.dirichlet(np.full(3, 0.3), size=40)
        labels = random.integers(4, size=40)
        left.append(float(categorical_label_information(probabilities, labels).sum()))
        joint = np.stack([probabilities[labels == k].sum(0) for k in range(4)]) / 40

        def entropy(p: Any) -> float:
            return float(-(p * np.log(p)).sum())

        right.append(entropy(joint.sum(0)) + entropy(joint.sum(1)) - entropy(joint))
    return Statement("I(y; c) = H(y) + H(c) − H(y, c)", "HFVAE A.2", left, right, ROUNDING)

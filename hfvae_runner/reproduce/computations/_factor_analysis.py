"""Mean-field variational inference in factor analysis, x = Wz + noise with the variance σ² (ISA-VAE, App. B.2 to B.5).

Everything depends on the data's covariance S alone, whose mean is 0. Shapes: L values, K factors. Float64, nats per
example.
"""

import math

import torch
from torch import Tensor

from hfvae_runner.reproduce.statements import Statement

NOISE = 0.25
"""σ². The paper does not say which it has, nor which weights."""
LENGTHS = ((1.2, 0.6), (2.0, 0.9))
"""Lengths of the two orthogonal columns of W in two models."""
BETAS = (1.0, 1.5, 2.0)
TURNS = [math.pi * k / 16 for k in range(1, 8)]
"""Between 0 and π/2, where the weights are orthogonal."""


def weights(lengths: tuple[float, float], turn: float = 0.0) -> Tensor:
    """Orthogonal columns of these lengths, then the latent space turned: [2, 2]."""
    c, s = math.cos(turn), math.sin(turn)
    direction = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64)
    rotation = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    w: Tensor = direction * torch.tensor(lengths, dtype=torch.float64) @ rotation
    return w


def overcomplete(alpha: float, rho: float) -> Tensor:
    """Eq. 17 with α² + β² = 1: two factors share the direction (1, 1), [2, 3]."""
    rows = [[alpha, math.sqrt(1 - alpha**2), sign * rho] for sign in (1, -1)]
    return torch.tensor(rows, dtype=torch.float64) / math.sqrt(2)


def covariance(w: Tensor) -> Tensor:
    """What the model implies, [L, L]."""
    return w @ w.T + NOISE * torch.eye(len(w), dtype=torch.float64)


def log_likelihood(w: Tensor, s: Tensor) -> Tensor:
    """Mean log N(x; 0, WWᵀ + σ²I)."""
    implied = covariance(w)
    found: Tensor = -0.5 * (torch.logdet(2 * math.pi * implied) + torch.linalg.solve(implied, s).trace())
    return found


def free_energy(w: Tensor, s: Tensor, beta: float = 1.0) -> Tensor:
    """F_β of Eq. 13 at its best factorised q: E_q[log p(x|z)] − β·KL(q ‖ p)."""
    factors = w.shape[1]
    # App. B.2: the likelihood to the power M = 1/β.
    precision = w.T @ w / (NOISE * beta) + torch.eye(factors, dtype=torch.float64)
    recognition = torch.linalg.solve(precision, w.T) / (NOISE * beta)
    variances = 1 / precision.diagonal()
    residual = torch.eye(len(w), dtype=torch.float64) - w @ recognition
    # Eq. 16, first line.
    error = (residual @ s @ residual.T).trace() + (w**2).sum(0) @ variances
    reconstruction = -0.5 * (error / NOISE + len(w) * math.log(2 * math.pi * NOISE))
    second_moment = (recognition @ s @ recognition.T).trace() + variances.sum()
    energy: Tensor = reconstruction - beta * 0.5 * (second_moment - factors - variances.log().sum())
    return energy


def trained(start: Tensor, s: Tensor, beta: float = 1.0) -> Tensor:
    """The weights at the optimum of the free energy, by a quasi-Newton method."""
    w = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [w], max_iter=1000, tolerance_grad=1e-10, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -free_energy(w, s, beta)
        loss.backward()
        return loss

    optimizer.step(closure)
    return w.detach()


def lengths(w: Tensor) -> list[float]:
    """Of the columns, ascending."""
    found: list[float] = w.norm(dim=0).sort().values.tolist()
    return found


def statements() -> list[Statement]:
    """Return the statements of experiments 1 to 3."""
    return [*_directions(), *_pruning(), *_beta()]


def _directions() -> list[Statement]:
    models = [(weights(each), covariance(weights(each)), each) for each in LENGTHS]
    turned = [(weights(each, turn), s, w) for turn in TURNS for w, s, each in models]
    likelihoods = [float(log_likelihood(w, s)) for w, s, _ in turned]
    optimum = [lengths(trained(weights(each, 0.5), s)) for _, s, each in models]
    where = "App. B.3"
    return [
        Statement(
            "the log-likelihood is the same for turned weights", where,
            likelihoods, [float(log_likelihood(w, s)) for _, s, w in turned], 1e-9,
        ),
        Statement(
            "for orthogonal weights the free energy is the log-likelihood", where,
            [float(free_energy(w, s)) for w, s, _ in models],
            [float(log_likelihood(w, s)) for w, s, _ in models], 1e-9,
        ),
        Statement(
            "for other weights it is lower", where,
            likelihoods, [float(free_energy(w, s)) for w, s, _ in turned], 1e-3, "greater",
        ),
        Statement(
            "maximised from turned weights, the columns' lengths are √(λ_k − σ²) of PCA", where,
            [each for found in optimum for each in found],
            [
                math.sqrt(value - NOISE) for _, s, _ in models for value in torch.linalg.eigvalsh(s).tolist()
            ], 1e-5,
        ),
    ]  # fmt: skip


RHOS = (0.6, 0.4)
ALPHAS = [math.sin(math.pi * k / 16) for k in range(5)]
"""From 0 to √½, where both factors share the direction equally."""


def _pruning() -> list[Statement]:
    data = {rho: covariance(overcomplete(0, rho)) for rho in RHOS}
    energies = {rho: [float(free_energy(overcomplete(a, rho), data[rho])) for a in ALPHAS] for rho in RHOS}
    best = {rho: float(log_likelihood(overcomplete(0, rho), data[rho])) for rho in RHOS}
    optimum = [lengths(trained(overcomplete(0.6, rho), data[rho])) for rho in RHOS]
    where = "App. B.4, Eq. 17"
    return [
        Statement(
            "the log-likelihood is the same for every α", where,
            [float(log_likelihood(overcomplete(a, rho), data[rho])) for a in ALPHAS for rho in RHOS],
            [best[rho] for _ in ALPHAS for rho in RHOS], 1e-9,
        ),
        Statement(
            "at α = 0, where one factor is unused, the free energy is the log-likelihood", where,
            [energies[rho][0] for rho in RHOS], [best[rho] for rho in RHOS], 1e-9,
        ),
        Statement(
            "it falls as α grows", where,
            [each for rho in RHOS for each in energies[rho][:-1]], [each for rho in RHOS for each in energies[rho][1:]],
            1e-3, "greater",
        ),
        Statement(
            "maximised from α = 0.6, the three columns' lengths are 0, ρ and 1", where,
            [each for found in optimum for each in found], [each for rho in RHOS for each in (0, rho, 1)], 1e-5,
        ),
    ]  # fmt: skip


def _beta() -> list[Statement]:
    """Experiment 3, and whether the weights that are found are the same, as B.5 and B.6 say."""
    w, s = weights(LENGTHS[0]), covariance(weights(LENGTHS[0]))
    turned = {beta: [float(free_energy(weights(LENGTHS[0], turn), s, beta)) for turn in TURNS] for beta in BETAS}
    orthogonal = {beta: float(free_energy(w, s, beta)) for beta in BETAS}
    # Eq. 16 is Eq. 13 divided by β.
    falls = [(orthogonal[beta] - min(turned[beta])) / beta for beta in BETAS]
    found = {beta: trained(weights(LENGTHS[0], 0.5), s, beta) for beta in BETAS[1:]}
    cosines = [
        abs(float(torch.nn.functional.cosine_similarity(each[:, 0], each[:, 1], dim=0))) for each in found.values()
    ]
    values, where = torch.linalg.eigvalsh(s).tolist(), "App. B.5"
    return [
        Statement(
            "for β of 1, 1.5 and 2 the free energy is greatest for orthogonal weights", where,
            [orthogonal[beta] for beta in BETAS for _ in TURNS], [each for beta in BETAS for each in turned[beta]],
            1e-3, "greater",
        ),
        Statement(
            "divided by β, as in Eq. 16, it varies less with the angle for a larger β", where,
            falls[:-1], falls[1:], 1e-3, "greater",
        ),
        Statement(
            "weights trained with β of 1.5 and 2 are orthogonal: 0.001 − |cosine|", where,
            [1e-3] * len(cosines), cosines, 0.0, "greater",
        ),
        Statement(
            "their lengths are √(λ_k − βσ²), so the fit depends on β (ours)", "App. B.2",
            [each for beta in BETAS[1:] for each in lengths(found[beta])],
            [math.sqrt(max(0.0, value - beta * NOISE)) for beta in BETAS[1:] for value in values], 1e-5,
        ),
    ]  # fmt: skip

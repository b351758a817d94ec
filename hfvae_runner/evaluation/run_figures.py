"""Chooses and draws the figures of a finished run that its data set and latents allow.

Shapes: n examples; F factors; T latent values; K categories; M draws.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hfvae_runner.data import Dataset, Split, as_float
from hfvae_runner.evaluation.decomposition import Encoded, Evaluation, factor_is_discrete
from hfvae_runner.figures import (
    density,
    inferred,
    information,
    kl_history,
    label_matrix,
    prior_samples,
    reconstructions,
    traversals,
)
from hfvae_runner.figures.inferred import Inferred
from hfvae_runner.latents.aggregate import ExactAggregate
from hfvae_runner.latents.blocks import NormalBlock, QuantisedBlock, Sample
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.vae import VAE

_PAIRS = 20
_TRAVERSED = np.linspace(-3, 3, 11)  # HFVAE Fig. 5: from −3 to 3
_GRID = 200
_DRAWS = 10


@torch.no_grad()
def figures(
    model: VAE,
    dataset: Dataset,
    test: Encoded,
    evaluation: Evaluation,
    label_contributions: np.ndarray | None,
    history: pd.DataFrame,
    device: torch.device,
) -> Iterator[tuple[str, Figure]]:
    """Yield the name of each figure, and the figure.

    Args:
        model: the trained model.
        dataset: its data set.
        test: the encoded test split.
        evaluation: of the test split.
        label_contributions: each class's part of I(y; z_d), [C, F], nats, the continuous factors first; None without
            labels.
        history: the rows of history.csv.
        device: the model's device.
    """
    model.eval()
    names = list(model.latents.factor_names)
    discrete = factor_is_discrete(model.latents)
    information_of, kl = list(evaluation.information), None if evaluation.kl is None else list(evaluation.kl)
    yield "information_per_factor", information.information_per_factor(names, information_of, kl, discrete)
    if len(history) and model.latents.scored:
        yield "kl_history", _kl_history(history, model.latents)
    if label_contributions is not None and dataset.label_names is not None:
        # In the contributions' order, continuous factors first, which may differ from the order of the blocks.
        order = sorted(range(len(names)), key=discrete.__getitem__)
        ordered = [names[f] for f in order], [discrete[f] for f in order]
        matrix = label_matrix.label_matrix(label_contributions, dataset.label_names, *ordered)
        yield "label_information", matrix
    if of_factors := _inferred(test, dataset):
        yield "inferred_factors", inferred.inferred(of_factors)
    if len(dataset.input_shape) == 3:
        x = _examples(dataset.test).to(device)
        yield "reconstructions", reconstructions.reconstructions(_array(x), _array(_reconstruct(model, x)))
        strips = _traverse(model, x[:1])
        yield (
            "traversals",
            traversals.traversals(strips, names, kl, information_of, list(_TRAVERSED), discrete),
        )
        yield from _prior_images(model, device)
    elif dataset.input_shape == (2,):
        x = _chosen(dataset.test, torch.arange(len(dataset.test))).to(device)
        yield "reconstructions", density.points(_array(x), _array(_reconstruct(model, x)))
        yield (
            "prior_samples",
            prior_samples.prior_points(_array(x), _array(_decoded(model, _draws(model, len(x), device)))),
        )
    if len(names) == 2 and not any(discrete):
        yield "aggregate_posterior", _aggregate_posterior(test)


def _inferred(test: Encoded, dataset: Dataset) -> list[Inferred]:
    """Return each factor with the continuous latent that tells most of it; none without factors or such latents."""
    blocks = [g for g, block in enumerate(test.latents.blocks) if isinstance(block, NormalBlock)]
    if dataset.factors is None or test.factors is None or not blocks:
        return []
    mode = test.latents.mode(test.posterior)
    means = torch.cat([mode[g] for g in blocks], dim=1).double().cpu().numpy()
    names = [name for g in blocks for name in test.latents.blocks[g].factor_names]
    found = []
    for name, column in zip(dataset.factors.names, test.factors.T.cpu().numpy(), strict=True):
        if name in dataset.factors.nuisance or (column == column[0]).all():
            continue
        shares = explained(column, means)
        best = int(shares.argmax())
        found.append(Inferred(name, column, names[best], means[:, best], float(shares[best])))
    return found


def explained(values: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return the share of each latent's variance that a factor explains (the correlation ratio), [N], [N, D] -> [D].

    It is the variance of the latent's mean for each value, over the latent's variance; 0 for a constant latent.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    centred = means - means.mean(axis=0)
    sums = np.stack([np.bincount(place, weights=column) for column in centred.T], axis=1)
    between = (sums**2 / count[:, None]).sum(axis=0)
    whole = (centred**2).sum(axis=0)
    # A constant latent's variance is that of rounding errors.
    constant = whole <= len(means) * (1e-6 * np.abs(means).max(axis=0)) ** 2
    shares: np.ndarray = np.where(constant, 0.0, between / np.where(constant, 1.0, whole))
    return shares


def _examples(split: Split) -> Tensor:
    """Return up to 20 test images, [n, C, H, W]: the first of each class if there are labels, else of the split."""
    if split.labels is None:
        return _chosen(split, torch.arange(min(_PAIRS, len(split))))
    classes = torch.unique(split.labels)
    each = max(1, _PAIRS // len(classes))
    chosen = torch.stack([torch.nonzero(split.labels == c)[:each, 0].repeat(each)[:each] for c in classes])
    return _chosen(split, chosen.T.flatten()[:_PAIRS])


def _chosen(split: Split, index: Tensor) -> Tensor:
    return as_float(split.x[index.to(split.x.device)])


def _reconstruct(model: VAE, x: Tensor) -> Tensor:
    """Compute E[x|z] at the posterior's mode, [n, *]."""
    return _decoded(model, model.latents.mode(model.encode(x)))


def _decoded(model: VAE, sample: Sample) -> Tensor:
    """Compute E[x|z], [n, *]."""
    return model.likelihood.mean(model.decode(model.latents.code(sample)))


def _draws(model: VAE, draws: int, device: torch.device) -> Sample:
    """Draw from the prior, with the same noise in every run."""
    noise = model.latents.prior_noise(draws, torch.Generator(device).manual_seed(0))
    return model.latents.prior_sample(noise, hard=True)


def _prior_images(model: VAE, device: torch.device) -> Iterator[tuple[str, Figure]]:
    """Yield figures of decoded draws from the prior.

    With discrete blocks there is one figure per discrete block, with a row for each category (JointVAE Fig. 4).
    """
    discrete = [g for g, block in enumerate(model.latents.blocks) if block.discrete]
    if not discrete:
        images = _decoded(model, _draws(model, 6 * _DRAWS, device))
        yield "prior_samples", prior_samples.prior_images(_array(images.unflatten(0, (6, _DRAWS))))
    for g in discrete:
        block = model.latents.blocks[g]
        drawn = list(_draws(model, block.n_code * _DRAWS, device))
        drawn[g] = torch.eye(block.n_code, device=device).log().repeat_interleave(_DRAWS, dim=0)
        images = _decoded(model, drawn).unflatten(0, (block.n_code, _DRAWS))
        name = "prior_samples" if len(discrete) == 1 else f"prior_samples_{block.name}"
        yield name, prior_samples.prior_images(_array(images), block.name)


def _kl_history(history: pd.DataFrame, latents: Latents) -> Figure:
    """Draw the KL over training, per factor if the prior has marginals of factors, else per block.

    Quantised blocks have none.
    """
    blocks = [latents.blocks[g] for g in latents.scored]
    by_factor = latents.finest == "factor"
    names = [name for block in blocks for name in (block.factor_names if by_factor else [block.name])]
    discrete = [block.discrete for block in blocks for _ in (block.factor_names if by_factor else [block.name])]
    values = history[[f"kl/{name}" for name in names]].to_numpy(float)
    return kl_history.kl_history(history["step"].to_numpy(), values, names, discrete)


def _traverse(model: VAE, x: Tensor) -> list[np.ndarray]:
    """Decode traversals of each factor, the other factors being at the posterior mode of example x [1, *].

    Returns [T, C, H, W] for each continuous factor and [K, C, H, W] for each discrete one, which a quantised factor is:
    its categories are the values of its codebook, in their order there.
    """
    mode = model.latents.mode(model.encode(x))
    strips = []
    for g, block in enumerate(model.latents.blocks):
        if block.discrete:
            eye = torch.eye(block.n_code, device=x.device).log()
            strips.append(_decode_with(model, mode, g, eye))
            continue
        for d in range(len(block.factor_names)):
            values = block.codebook[d] if isinstance(block, QuantisedBlock) else torch.as_tensor(_TRAVERSED)
            varied = mode[g].repeat(len(values), 1)
            varied[:, d] = values.to(varied)
            strips.append(_decode_with(model, mode, g, varied))
    return strips


def _decode_with(model: VAE, mode: Sample, g: int, varied: Tensor) -> np.ndarray:
    sample = [varied if h == g else z.expand(len(varied), -1) for h, z in enumerate(mode)]
    return _array(_decoded(model, sample))


def _aggregate_posterior(encoded: Encoded) -> Figure:
    """Draw q(z) of a split and the prior over the plane; requires exactly two factors, both continuous."""
    means = torch.cat(list(encoded.latents.mode(encoded.posterior)), dim=1)
    noise = encoded.latents.prior_noise(10_000, torch.Generator(means.device).manual_seed(0))
    farthest = torch.cat(list(encoded.latents.prior_sample(noise)), dim=1).abs().amax(1)
    reach = max(1.2 * farthest.quantile(0.99).item(), 1.1 * means.abs().max().item())
    axis = torch.linspace(-reach, reach, _GRID, device=means.device)
    grid = torch.cartesian_prod(axis, axis).flip(1)  # the last coordinate varies over the rows
    sample = torch.split(grid, [block.n_code for block in encoded.latents.blocks], dim=1)
    everything = range(len(encoded.latents.blocks))
    log_q = ExactAggregate(encoded.latents, encoded.posterior, sample).log_prob("joint", everything)
    log_p = encoded.latents.log_prior("joint", sample)
    q, p = (_array(each.exp().view(_GRID, _GRID)) for each in (log_q, log_p))
    return density.aggregate_posterior(q, (-reach, reach, -reach, reach), p, _array(means))


def _array(x: Tensor) -> np.ndarray:
    return x.float().cpu().numpy()

"""The metrics that a config chooses, on an encoded split.

Shapes: N examples; B rows chosen from them; D continuous factors.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hfvae_runner.data import Dataset, Split, as_float
from hfvae_runner.evaluation.decomposition import Encoded
from hfvae_runner.latents.aggregate import ExactAggregate
from hfvae_runner.latents.blocks import NormalBlock, QuantisedBlock
from hfvae_runner.metrics import NO_DENSITY, Categories, Metric, Representation, Subject, Truth, measured
from hfvae_runner.models.vae import VAE
from hfvae_runner.training.seeds import derived


def represented(encoded: Encoded, dataset: Dataset) -> Representation:
    """Return the encoded split as plain arrays, with the labels, factors or attributes of its examples.

    A quantised factor is a discrete variable, whose category is the value's place in the codebook.
    """
    latents, n = encoded.latents, len(encoded)
    columns = sum(len(block.factor_names) for block in latents.blocks if isinstance(block, NormalBlock))
    names: list[str] = []
    # Filled in place: joining float64 parts of a million examples would take the memory of the result once more.
    mean, scale, sample = (torch.empty(n, columns, dtype=torch.float64) for _ in range(3))
    blocks, discrete = {}, []
    for block, parameters, z in zip(latents.blocks, encoded.posterior, encoded.sample, strict=True):
        if block.discrete:
            probabilities = torch.softmax(parameters.double(), dim=1)
            discrete.append(Categories(block.name, _array(probabilities), z.argmax(1).cpu().numpy()))
            continue
        if isinstance(block, QuantisedBlock):
            places = block.index(parameters).cpu().numpy()
            eye = np.eye(block.n_values)
            discrete += [
                Categories(name, eye[each], each) for name, each in zip(block.factor_names, places.T, strict=True)
            ]
            continue
        of_mean, log_scale = parameters.chunk(2, dim=1)
        own = slice(len(names), len(names) + len(block.factor_names))
        blocks[block.name] = own
        names += block.factor_names
        mean[:, own], sample[:, own], scale[:, own] = of_mean, z, log_scale
        scale[:, own].exp_()
    label = _label(encoded, dataset)
    return Representation(
        names=tuple(names),
        mean=mean.numpy(),
        scale=scale.numpy(),
        sample=sample.numpy(),
        blocks=blocks,
        discrete=tuple(discrete),
        truth=_truth(encoded, dataset) or (() if label is None else (label,)),
        label=label,
    )


def measure(
    metrics: Mapping[str, Metric],
    model: VAE,
    split: Split,
    encoded: Encoded,
    representations: tuple[Representation, Representation],
    *,
    name: str,
    seed: int,
    batch_size: int,
    supervised: str | None,
    show_progress: bool,
) -> dict[str, object]:
    """Compute every chosen metric on a split, for its section of metrics.json.

    Args:
        metrics: by name, with their options bound.
        model: the trained model.
        split: the split.
        encoded: the same split, encoded by the model.
        representations: of this split and of the training split.
        name: the split's name.
        seed: the run's seed, from which each metric's seed is derived together with its name and the split's.
        batch_size: how many codes are decoded at once.
        supervised: the discrete variable whose category k was trained to represent label k; None without supervision.
        show_progress: whether to show progress bars.

    Raises:
        RunnerError: a metric cannot be computed from these data with these options.
    """

    # Ratios of densities, which a quantised block does not have.
    scored = len(encoded.latents.scored) == len(encoded.latents.blocks)

    def ratios(n: int, seed: int) -> np.ndarray:
        return _prior_log_ratios(encoded, n, seed, show_progress)

    def weights(rows: np.ndarray, draws: int, seed: int) -> np.ndarray:
        return _log_weights(model, split, encoded, rows, draws, seed, batch_size)

    def subject(metric_name: str) -> Subject:
        return Subject(
            encoded=representations[0],
            train=representations[1],
            seed=derived(seed, "metric", metric_name, name),
            prior_sample=lambda n, seed: _prior_sample(model, n, seed),
            prior_log_ratios=ratios if scored else None,
            log_weights=weights if scored else None,
            without_densities=None if scored else NO_DENSITY,
            supervised=supervised,
            show_progress=show_progress,
        )

    return measured(metrics, subject)


def _label(encoded: Encoded, dataset: Dataset) -> Truth | None:
    if encoded.labels is None or dataset.n_classes is None:
        return None
    return Truth("label", encoded.labels.cpu().numpy().astype(np.int64), dataset.n_classes)


def _truth(encoded: Encoded, dataset: Dataset) -> tuple[Truth, ...]:
    if dataset.factors is not None and encoded.factors is not None:
        known, values = dataset.factors, encoded.factors.cpu().numpy().astype(np.int64)
        numbers = None if encoded.magnitudes is None else _array(encoded.magnitudes)
        return tuple(
            Truth(name, values[:, k], size, name in known.nuisance, None if numbers is None else numbers[:, k])
            for k, (name, size) in enumerate(zip(known.names, known.sizes, strict=True))
        )
    if dataset.attribute_names is not None and encoded.attributes is not None:
        columns = encoded.attributes.cpu().numpy().astype(np.int64).T
        return tuple(Truth(name, column, 2) for name, column in zip(dataset.attribute_names, columns, strict=True))
    return ()


def _columns(parts: list[Tensor], rows: int) -> np.ndarray:
    return _array(torch.cat(parts, dim=1)) if parts else np.empty((rows, 0))


def _array(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()


@torch.no_grad()
def _prior_sample(model: VAE, n: int, seed: int) -> np.ndarray:
    """Draw n values of the continuous factors from the prior, [n, D]."""
    latents = model.latents
    device = next(model.parameters()).device
    noise = latents.prior_noise(n, torch.Generator(device).manual_seed(seed), torch.float64)
    drawn = zip(latents.blocks, latents.prior_sample(noise), strict=True)
    return _columns([z for block, z in drawn if isinstance(block, NormalBlock)], n)


@torch.no_grad()
def _prior_log_ratios(encoded: Encoded, n: int, seed: int, show_progress: bool) -> np.ndarray:
    """Compute log p(z) − log q(z) at n draws from the prior, [n], nats."""
    latents, like = encoded.latents, encoded.posterior[0]
    noise = latents.prior_noise(n, torch.Generator(like.device).manual_seed(seed), like.dtype)
    sample = latents.prior_sample(noise, hard=True)
    aggregate = ExactAggregate(latents, encoded.posterior, sample, show_progress=show_progress)
    log_q = aggregate.log_prob("joint", range(len(latents.blocks)))
    return _array(latents.log_prior("joint", sample).double() - log_q.double())


@torch.no_grad()
def _log_weights(
    model: VAE, split: Split, encoded: Encoded, rows: np.ndarray, draws: int, seed: int, batch_size: int
) -> np.ndarray:
    """Compute log p(x, z) − log q(z|x) of new draws from the posteriors of these rows, [B, draws], nats.

    All noise is drawn at once, so that ``batch_size`` does not change the draws.
    """
    device = encoded.posterior[0].device
    chosen = torch.as_tensor(rows).repeat_interleave(draws)
    noise = encoded.latents.noise(len(chosen), torch.Generator(device).manual_seed(seed))
    weights = []
    for index, *noise_part in zip(*(torch.split(each, batch_size) for each in (chosen, *noise)), strict=True):
        x = as_float(split.x[encoded.order[index].to(split.x.device)].to(device))
        posterior = [parameters[index.to(device)] for parameters in encoded.posterior]
        sample = encoded.latents.sample(posterior, noise_part, hard=True)
        log_px = model.likelihood.log_prob(x, model.decode(encoded.latents.code(sample)))
        log_q = [
            block.log_prob(parameters, z).sum(1)
            for block, parameters, z in zip(encoded.latents.blocks, posterior, sample, strict=True)
        ]
        log_pz = encoded.latents.log_prior("joint", sample).double()
        weights.append(log_px.double() + log_pz - torch.stack(log_q).sum(0).double())
    return _array(torch.cat(weights)).reshape(len(rows), draws)

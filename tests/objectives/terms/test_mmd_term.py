"""The maximum mean discrepancy between a batch and as many draws from the prior."""

import pytest
import torch
from engine import blocks, drawn
from learned_prior import LearnedScale
from torch import Tensor

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import NormalBlock
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives import terms

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def kernel_by_hand(a: list[float], b: list[float]) -> float:
    """The inverse multiquadratic on vectors, Σ_s C/(C + ‖a − b‖²), C = 2·D·s."""
    square = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
    return sum(2 * len(a) * s / (2 * len(a) * s + square) for s in SCALES)


def by_hand(x: Tensor, y: Tensor, *, own_pairs: bool) -> float:
    """MMD², a pair at a time."""

    def mean(one: list[list[float]], other: list[list[float]], *, all_pairs: bool) -> float:
        pairs = [(i, j) for i in range(len(one)) for j in range(len(other)) if all_pairs or i != j]
        return sum(kernel_by_hand(one[i], other[j]) for i, j in pairs) / len(pairs)

    a, b = x.tolist(), y.tolist()
    within = mean(a, a, all_pairs=own_pairs) + mean(b, b, all_pairs=own_pairs)
    return within - 2 * mean(a, b, all_pairs=True)


@pytest.mark.parametrize("statistic", ["u", "v"])
@pytest.mark.parametrize("chosen", [None, ["a"], ["continuous"], ["b", "c"]])
def test_it_compares_the_code_of_the_batch_with_that_of_prior_draws(statistic: str, chosen: list[str] | None) -> None:
    batch = drawn(blocks(2, -3, 1), 5, 90)
    latents = batch.latents
    term = terms.bind("mmd", latents, {"blocks": chosen, "statistic": statistic, "kernel": "imq"})
    noise = term.noise(5, torch.Generator().manual_seed(3), torch.float64)
    prior = latents.prior_sample(latents.prior_noise(5, torch.Generator().manual_seed(3), torch.float64))

    def code(sample: list[Tensor]) -> Tensor:
        parts = {"a": sample[0], "b": sample[1].exp(), "c": sample[2]}
        names = {None: "abc", "continuous": "ac"}.get(chosen[0] if chosen else None, chosen)
        return torch.cat([parts[name] for name in names or ()], dim=1)

    expected = by_hand(code(list(batch.sample)), code(list(prior)), own_pairs=statistic == "v")
    assert term(batch.evidence("stratified"), noise).item() == pytest.approx(expected, abs=1e-10)


def test_the_kernel_is_the_one_that_is_named() -> None:
    batch = drawn(blocks(2), 5, 90)
    values = set()
    for kernel in ("imq", "imq_per_dimension", "imq_printed", "rbf"):
        term = terms.bind("mmd", batch.latents, {"kernel": kernel})
        noise = term.noise(5, torch.Generator().manual_seed(0), torch.float64)
        values.add(round(term(batch.evidence("stratified"), noise).item(), 9))
    assert len(values) == 4
    with pytest.raises(ConfigError, match=r"kernel='imqq': expected one of .*; did you mean 'imq'"):
        terms.bind("mmd", batch.latents, {"kernel": "imqq"})
    with pytest.raises(ConfigError, match="statistic='w': expected one of u, v"):
        terms.bind("mmd", batch.latents, {"statistic": "w"})


def test_both_sides_get_gradients() -> None:
    prior = LearnedScale(NormalBlock("z", 2), scale=2.0)
    latents = Latents([prior])
    batch = drawn(latents, 64, 90)
    term = terms.bind("mmd", latents, {})
    evidence = batch.evidence("stratified")
    evidence.sample = [z.requires_grad_() for z in batch.sample]
    value = term(evidence, term.noise(64, torch.Generator().manual_seed(0), torch.float64))
    of_sample, of_prior = torch.autograd.grad(value, [evidence.sample[0], prior.log_scale])
    assert of_sample.isfinite().all()
    assert of_sample.abs().sum() > 0
    # The samples are N(m, σ²) around random means: nearer to 0 than draws of scale 2 are, so a smaller scale is better.
    assert of_prior > 0

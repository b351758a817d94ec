"""The quantised block: its codebooks by enumeration, its gradients, its two losses, its draws, and its refusals."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents import aggregate
from hfvae_runner.latents.blocks import QuantisedBlock
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.quantised import quantised
from hfvae_runner.objectives import terms

B, D, V = 5, 3, 10
VALUES = 7
"""Of an example, on which the losses' scale depends."""


def latents_of(**changed: object) -> Latents:
    options = {"size": D, "values": V, "continuous": 0, "categories": None, "temperature": 0.66, "n_factors": None}
    return quantised(**{**options, **changed})  # type: ignore[arg-type]


def block_of(latents: Latents) -> QuantisedBlock:
    block = latents.blocks[0]
    assert isinstance(block, QuantisedBlock)
    return block


def learned(seed: int = 0) -> Latents:
    """Latents whose codebooks have moved, so that they differ and are neither sorted nor evenly spaced."""
    latents = latents_of().double()
    with torch.no_grad():
        noise = torch.randn((D, V), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        block_of(latents).codebook.add_(0.3 * noise)
    return latents


def outputs(seed: int = 1) -> Tensor:
    """The encoder's output, [B, D]."""
    return torch.randn((B, D), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def evidence_of(latents: Latents, posterior: list[Tensor]) -> Evidence:
    sample = latents.sample(posterior, latents.noise(len(posterior[0]), torch.Generator().manual_seed(0)))
    q_z = aggregate.from_batch(latents, posterior, sample, estimator="stratified", n_data=len(posterior[0]))
    return Evidence(latents, posterior, sample, torch.zeros(len(posterior[0])), q_z, values=VALUES)


def term(name: str, latents: Latents, output: Tensor) -> Tensor:
    value: Tensor = terms.bind(name, latents, {})(evidence_of(latents, [output]), [])
    return value


def test_codebooks_start_evenly_spaced_from_minus_to_plus_one_half() -> None:
    codebook = block_of(latents_of()).codebook
    assert codebook.shape == (D, V)
    for own in codebook.tolist():
        assert own == pytest.approx([k / 9 - 0.5 for k in range(10)])


@given(st.lists(st.lists(st.floats(-3, 3), min_size=D, max_size=D), min_size=1, max_size=6), st.integers(0, 20))
def test_the_nearest_value_is_that_of_enumeration(rows: list[list[float]], seed: int) -> None:
    block = block_of(learned(seed))
    output = torch.tensor(rows, dtype=torch.float64)
    index, codebook = block.index(output).tolist(), block.codebook.tolist()
    for row, places in zip(rows, index, strict=True):
        for d, (value, place) in enumerate(zip(row, places, strict=True)):
            distances = [abs(value - each) for each in codebook[d]]
            assert distances[place] == min(distances)
    picked = [[codebook[d][place] for d, place in enumerate(places)] for places in index]
    assert block.nearest(output).tolist() == picked
    assert block.mode(output).tolist() == picked, "exactly a value of the codebook"


def test_gradients_pass_straight_through_and_do_not_reach_the_codebook() -> None:
    latents, output = learned(), outputs()
    weight = torch.randn((B, D), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (z,) = latents.sample([output], latents.noise(B, torch.Generator()))
    gradient, of_codebook = torch.autograd.grad(
        (weight * z).sum(), [output, block_of(latents).codebook], allow_unused=True
    )
    assert torch.equal(gradient, weight)
    assert of_codebook is None


def test_quantisation_trains_the_codebook_alone() -> None:
    latents, output = learned(), outputs()
    block = block_of(latents)
    value = term("quantisation", latents, output)
    distance = block.nearest(output) - output
    # In the paper's code, of means over factors and over an example's values, this is the mean alone.
    assert value.item() == pytest.approx(VALUES * distance.square().mean().item())
    to_output, to_codebook = torch.autograd.grad(value, [output, block.codebook], allow_unused=True)
    assert to_output is None
    expected = torch.zeros_like(block.codebook)
    for b in range(B):
        for d in range(D):
            expected[d, block.index(output)[b, d]] += VALUES * 2 * distance[b, d] / (B * D)
    torch.testing.assert_close(to_codebook, expected)


def test_commitment_trains_the_encoder_alone() -> None:
    latents, output = learned(), outputs()
    block = block_of(latents)
    value = term("commitment", latents, output)
    assert value.item() == pytest.approx(term("quantisation", latents, output).item())
    to_output, to_codebook = torch.autograd.grad(value, [output, block.codebook], allow_unused=True)
    assert to_codebook is None
    torch.testing.assert_close(to_output, VALUES * 2 * (output - block.nearest(output)) / (B * D))


@pytest.mark.parametrize("name", ["quantisation", "commitment"])
def test_the_losses_need_a_quantised_block(name: str) -> None:
    other = Latents(list(latents_of(continuous=2).priors)[1:])
    with pytest.raises(ConfigError, match=r"no quantised block among the prior's blocks \(style\)"):
        terms.mean(name).per_example(evidence_of(other, [torch.zeros(2, 4)]))


@pytest.mark.parametrize("name", ["kl", "mutual_information", "total_correlation", "group_tc", "inclusive_kl"])
def test_terms_that_need_a_density_are_refused_unless_they_leave_the_block_out(name: str) -> None:
    latents = latents_of(continuous=2, categories=3)
    posterior = [torch.zeros(2, block.n_parameters) for block in latents.blocks]
    evidence = evidence_of(latents, posterior)
    whole = terms.bind(name, latents, {})
    with pytest.raises(ConfigError, match="block z is quantised, and its posterior is a point without a density"):
        whole(evidence, whole.noise(2, torch.Generator()))
    others = terms.bind(name, latents, {"blocks": ["style", "class"]})
    assert others(evidence, others.noise(2, torch.Generator().manual_seed(0))).isfinite()


def test_blocks_are_selected_by_kind() -> None:
    latents = latents_of(continuous=2, categories=[3, 4])
    assert [block.name for block in latents.blocks] == ["z", "style", "class_1", "class_2"]
    assert latents.select(["quantised"]) == (0,)
    assert latents.select(["continuous"]) == (1,)
    assert latents.select(["discrete"]) == (2, 3)
    assert latents.scored == (1, 2, 3)


def test_draws_are_uniform_over_the_codebooks_values() -> None:
    latents = learned()
    (z,) = latents.prior_sample(latents.prior_noise(20_000, torch.Generator().manual_seed(0)))
    for d, own in enumerate(block_of(latents).codebook):
        counts = (z[:, d, None] == own).sum(0)
        assert counts.sum() == 20_000
        assert chisquare(counts.numpy()).pvalue > 1e-3


def test_the_size_is_twice_the_number_of_factors() -> None:
    sizes = [len(latents_of(size=size, n_factors=n).factor_names) for size, n in [(None, 5), (None, None), (7, 5)]]
    assert sizes == [10, 10, 7]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 0}, "prior.size=0: expected a whole number from 1 on"),
        ({"values": 1}, "prior.values=1: expected a whole number from 2 on"),
        ({"continuous": -1}, "prior.continuous=-1: expected a whole number from 0 on"),
        ({"categories": [3, 1]}, "prior.categories=1: expected a whole number from 2 on"),
        ({"categories": 3, "temperature": 0}, "prior.temperature=0: expected a number above 0"),
    ],
)
def test_refusals(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        latents_of(**changed)

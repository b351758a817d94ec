import subprocess
import sys

import pytest
import scipy.stats
import torch
from engine import blocks, drawn

from hfvae_runner.config import catalogue
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.models.likelihoods import BernoulliLikelihood, GaussianLikelihood
from hfvae_runner.objectives import terms

NAMES = (
    "block_kl",
    "dimension_kl",
    "group_tc",
    "kl",
    "marginal_kl",
    "mutual_information",
    "reconstruction",
    "total_correlation",
    "within_tc",
)


def test_every_term_is_listed_with_its_options() -> None:
    available = catalogue.terms()
    assert set(NAMES) <= set(available)
    assert available["kl"] == ("blocks", "method")
    assert available["group_tc"] == ("blocks",)
    assert available["reconstruction"] == ()
    assert not any(name.startswith("_") for name in available)


def test_the_catalogue_needs_no_torch() -> None:
    program = (
        "import sys; from hfvae_runner.config import catalogue; catalogue.terms(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_term_is_a_scalar_and_only_reconstruction_a_reward(name: str) -> None:
    batch = drawn(blocks(2, -3), 4, 9)
    term = terms.bind(name, batch.latents, {})
    assert term(batch.evidence("stratified"), ()).shape == ()
    assert term.sign == (-1 if name == "reconstruction" else 1)


@pytest.mark.parametrize("family", ["bernoulli", "gaussian"])
def test_reconstruction_is_summed_over_an_example_and_averaged_over_the_batch(family: str) -> None:
    """Against scipy, in nats: 2 examples of 1×3×4 values."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(2, (2, 1, 3, 4), generator=generator).double()
    likelihood = BernoulliLikelihood() if family == "bernoulli" else GaussianLikelihood(scale="predicted")
    raw = torch.randn(2, likelihood.parameters_per_value, 1, 3, 4, generator=generator, dtype=torch.float64)
    if family == "bernoulli":
        values = scipy.stats.bernoulli.logpmf(x.numpy(), torch.sigmoid(raw[:, 0]).numpy())
    else:
        values = scipy.stats.norm.logpdf(x.numpy(), raw[:, 0].numpy(), raw[:, 1].exp().numpy())
    log_px = likelihood.log_prob(x, raw)
    assert log_px.tolist() == pytest.approx([values[0].sum(), values[1].sum()])
    batch = drawn(blocks(2), 2, 2)
    evidence = Evidence(batch.latents, batch.posterior, batch.sample, log_px, batch.aggregate("stratified"))
    assert terms.bind("reconstruction", batch.latents, {})(evidence, ()).item() == pytest.approx(values.sum() / 2)

"""scripts/estimator_bias.py: what its table says is what the definitions say."""

import math
from types import ModuleType

import pytest
import torch
from scripting import loaded
from torch.distributions import Normal


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = loaded("estimator_bias", monkeypatch)
    monkeypatch.setattr(module, "EXAMPLES", 200)
    monkeypatch.setattr(module, "REPEATS", 3)
    monkeypatch.setattr(module, "SHIFT", torch.tensor([math.log(200), 4 * math.log(200)]))
    return module


def test_the_exact_values_are_the_definition_s(script: ModuleType) -> None:
    latents, parameters, sample = script.posteriors(0.3)
    mean, log_scale = parameters.double().chunk(2, dim=1)
    densities = Normal(mean, log_scale.exp()).log_prob(sample.double()[:, None])  # [N, N, F]
    own = densities.diagonal().sum(0)
    joint = densities.sum(2).logsumexp(1) - math.log(200)
    factors = (densities.logsumexp(1) - math.log(200)).sum(1)
    found = script.exact(latents, parameters, sample)
    assert found == pytest.approx(((own - joint).mean().item(), (joint - factors).mean().item()), abs=1e-4)


@pytest.mark.parametrize(("estimator", "within"), [("stratified", 1e-4), ("mws", 1e-4), ("mss", 0.05)])
def test_a_batch_of_all_examples_is_exact(estimator: str, within: float, script: ModuleType) -> None:
    """With mss nearly so: the example after a sample's own has another weight."""
    made = script.posteriors(0.3)
    truth = torch.tensor(script.exact(*made))
    torch.testing.assert_close(script.estimated(*made, estimator, 200), truth.expand(3, 2), atol=within, rtol=0)

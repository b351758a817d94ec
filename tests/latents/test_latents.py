import math

import pytest
import torch
from engine import DENSITIES, a_posterior, a_sample, blocks, naive_log_pz, naive_log_qz_x, under_default_priors

from hfvae_runner.config.names import DiscreteDensity
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import ConcreteBlock, NormalBlock
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.latents.priors.normal_concrete import normal_concrete

STYLE_CLASS = normal_concrete(continuous=3, categories=4, temperature=0.66, n_classes=10)


def test_factors_are_named_after_their_blocks() -> None:
    assert STYLE_CLASS.factor_names == ("style[0]", "style[1]", "style[2]", "class")
    assert STYLE_CLASS.factor_slices() == [slice(0, 3), slice(3, 4)]
    assert STYLE_CLASS.n_code == 7
    assert [block.n_parameters for block in STYLE_CLASS.blocks] == [6, 4]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (None, (0, 1, 2, 3)),
        (["a"], (0,)),
        (["d", "a"], (0, 3)),
        (["continuous"], (0, 2)),
        (["discrete"], (1, 3)),
        (["discrete", "b", "c"], (1, 2, 3)),
    ],
)
def test_blocks_are_selected_by_name_or_kind(names: list[str] | None, chosen: tuple[int, ...]) -> None:
    assert blocks(2, -3, 1, -2).select(names) == chosen


def test_a_block_may_be_called_after_the_other_kind() -> None:
    odd = under_default_priors(ConcreteBlock("continuous", 3, 0.66), NormalBlock("z", 2))
    assert odd.select(["z"]) == (1,)
    assert odd.select(["discrete"]) == (0,)


@pytest.mark.parametrize(
    ("names", "message"),
    [(["stile"], "no stile block.*style, class.*did you mean 'style'"), (["style", "topic"], "no topic block")],
)
def test_an_unknown_block_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        STYLE_CLASS.select(names)


def test_a_kind_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no discrete block among the prior's blocks \(z\)"):
        normal(size=2).select(["discrete"])


def test_the_categories_are_the_data_sets_classes_unless_given() -> None:
    def categories(given: int | None) -> int:
        return normal_concrete(continuous=1, categories=given, temperature=1, n_classes=7).blocks[1].n_code

    assert categories(None) == 7
    assert categories(3) == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"categories": None, "n_classes": None}, "no classes.*prior.categories=K, or prior=normal"),
        ({"categories": 1}, "prior.categories=1: expected a whole number from 2 on"),
        ({"categories": 2.5}, r"prior.categories=2.5"),
        ({"continuous": 0}, "prior.continuous=0: expected a whole number from 1 on"),
        ({"temperature": 0}, "prior.temperature=0: expected a number above 0"),
        ({"temperature": math.inf}, "prior.temperature=inf"),
        ({"temperature": "warm"}, "prior.temperature='warm'"),
        ({"temperature": True}, "prior.temperature=True"),
    ],
)
def test_a_prior_out_of_range_is_refused(changed: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"continuous": 2, "categories": 3, "temperature": 0.66, "n_classes": 10}
    with pytest.raises(ConfigError, match=message):
        normal_concrete(**(arguments | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "ten"])
def test_a_normal_prior_out_of_range_is_refused(size: object) -> None:
    with pytest.raises(ConfigError, match=r"prior\.size=.*whole number from 1 on"):
        normal(size=size)  # type: ignore[arg-type]


def test_the_noise_depends_on_the_generator_alone() -> None:
    def noise(seed: int) -> list[torch.Tensor]:
        return list(STYLE_CLASS.noise(5, torch.Generator().manual_seed(seed)))

    assert [tuple(each.shape) for each in noise(0)] == [(5, 3), (5, 4)]
    assert all(map(torch.equal, noise(0), noise(0)))
    assert not any(map(torch.equal, noise(0), noise(1)))


def test_the_decoder_reads_values_and_probabilities() -> None:
    posterior = a_posterior(STYLE_CLASS, 6, seed=0)
    relaxed = STYLE_CLASS.code(a_sample(STYLE_CLASS, posterior, seed=1))
    torch.testing.assert_close(relaxed[:, 3:].sum(1), torch.ones(6, dtype=torch.float64))
    assert relaxed[:, 3:].min() > 0
    hard = STYLE_CLASS.code(a_sample(STYLE_CLASS, posterior, seed=1, hard=True))
    assert torch.equal(hard[:, :3], relaxed[:, :3])
    assert torch.equal(hard[:, 3:].sort(1).values, torch.tensor([0.0, 0, 0, 1], dtype=torch.float64).expand(6, 4))
    # The same noise draws the category that the relaxed sample leans to.
    assert torch.equal(hard[:, 3:].argmax(1), relaxed[:, 3:].argmax(1))


def test_the_mode_is_the_mean_and_the_most_probable_category() -> None:
    posterior = a_posterior(STYLE_CLASS, 6, seed=0)
    mean, category = STYLE_CLASS.mode(posterior)
    assert torch.equal(mean, posterior[0][:, :3])
    assert torch.equal(category.exp().argmax(1), posterior[1].argmax(1))


@pytest.mark.parametrize("density", DENSITIES)
def test_log_densities_are_those_of_torchs_distributions(density: DiscreteDensity) -> None:
    latents = blocks(3, -4, density=density)
    posterior = a_posterior(latents, 6, seed=0)
    sample = a_sample(latents, posterior, seed=1)
    pairs = list(zip(latents.blocks, posterior, sample, strict=True))
    log_q = torch.cat([block.log_prob(p, z) for block, p, z in pairs], dim=1)
    log_p = latents.log_prior("factor", sample)
    torch.testing.assert_close(log_q, naive_log_qz_x(latents, posterior, sample))
    torch.testing.assert_close(log_p, naive_log_pz(latents, sample))


def test_an_enumerated_block_has_no_log_probability_at_a_sample() -> None:
    block = ConcreteBlock("class", 3, 0.66, "enumerate")
    with pytest.raises(ValueError, match="block class is enumerated"):
        block.log_prob_table(torch.zeros(2, 3), torch.zeros(2, 3), 0)


def test_with_density_changes_the_discrete_blocks_only() -> None:
    changed = blocks(2, -3, -2).with_density("concrete")
    assert changed.blocks == blocks(2, -3, -2, density="concrete").blocks
    assert changed.blocks[0] == blocks(2).blocks[0]


@pytest.mark.parametrize("density", DENSITIES)
def test_the_closed_form_divergence_is_the_categoricals_whatever_the_density(density: DiscreteDensity) -> None:
    latents = blocks(-3, density=density)
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    q = torch.softmax(logits, 1)
    torch.testing.assert_close(latents.pieces([0])[0].kl("factor", [logits]), (q * (3 * q).log()).sum(1, keepdim=True))

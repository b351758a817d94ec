"""The networks for bags of words, against HFVAE Tables 7 and 8, and their topics."""

import pytest
import torch
from paper_tables import check_shapes, count, fc, norm, printed
from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.latents.priors.normal_concrete import normal_concrete
from hfvae_runner.latents.priors.two_groups import two_groups
from hfvae_runner.models.likelihoods import BernoulliLikelihood, CategoricalLikelihood, GaussianLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.networks._words import TopicDecoder
from hfvae_runner.models.networks.nvdm import nvdm
from hfvae_runner.models.networks.prodlda import prodlda

WORDS = CategoricalLikelihood()
TWO_GROUPS = two_groups(sizes=[25, 25], correlation=0)
FIFTY = normal(size=50)
NEWS = (2000,)


def make(
    latents: Latents = FIFTY,
    shape: tuple[int, ...] = NEWS,
    dropout: float = 0.2,
    learned_scale: bool = True,
    log_counts: bool = False,
) -> Networks:
    torch.manual_seed(0)
    options = {"dropout": dropout, "learned_scale": learned_scale, "log_counts": log_counts}
    return prodlda(input_shape=shape, latents=latents, likelihood=WORDS, **options)  # type: ignore[arg-type]


def decoder_of(networks: Networks) -> TopicDecoder:
    assert isinstance(networks.decoder, TopicDecoder)
    return networks.decoder


@pytest.mark.parametrize("latents", [TWO_GROUPS, FIFTY])
def test_prodlda_is_hfvaes_table_7(latents: Latents) -> None:
    networks = make(latents)
    hidden = ["FC 100", "Softplus", "FC 100", "Softplus", "Dropout"]
    # 2 × 25 twice, or 2 × 50: normalised one by one, so that it is one layer.
    assert printed(networks.encoder) == [*hidden, "FC 100", "BatchNorm"]
    # The last softmax is the likelihood's.
    assert printed(networks.decoder) == ["Softmax", "Dropout", "FC 2000", "BatchNorm"]
    assert count(networks.encoder) == fc(2000, 100) + fc(100, 100) + fc(100, 100) + norm(100)
    assert count(networks.decoder) == fc(50, 2000) + norm(2000)
    check_shapes(networks, NEWS, latents)


def test_log_counts_tame_a_message_of_thousands_of_words() -> None:
    """Far from what batch normalisation saw in the mean, a message of counts has parameters that overflow."""
    generator = torch.Generator().manual_seed(0)
    usual = torch.poisson(torch.full((512, 200), 0.3), generator=generator)
    long = usual[:1].clone()
    long[0, 5] = 3000
    reach = {}
    for log_counts in (False, True):
        encoder = make(shape=(200,), log_counts=log_counts).encoder
        for _ in range(60):
            encoder(usual)
        reach[log_counts] = encoder.eval()(long).abs().max().item()
    assert reach[True] < 10 < 100 < reach[False]
    ordinary, logarithmic = make().encoder.eval(), make(log_counts=True).encoder.eval()
    counts = torch.tensor([[0.0, 1, 7] + [0.0] * 1997])
    torch.testing.assert_close(logarithmic(counts), ordinary(counts.log1p()))


def test_prodlda_as_its_own_authors_has_no_scale() -> None:
    networks = make(learned_scale=False)
    assert count(networks.encoder) == count(make().encoder) - 100
    assert count(networks.decoder) == count(make().decoder) - 2000
    check_shapes(networks, NEWS, FIFTY)
    moments = networks.encoder(torch.rand(64, *NEWS) * 9)
    torch.testing.assert_close(moments.std(0, correction=0), torch.ones(100), atol=0.01, rtol=0)


@pytest.mark.parametrize("latents", [TWO_GROUPS, FIFTY])
def test_nvdm_is_hfvaes_table_8(latents: Latents) -> None:
    networks = nvdm(input_shape=NEWS, latents=latents, likelihood=WORDS)
    assert printed(networks.encoder) == ["FC 500", "ReLU", "FC 100"]
    assert printed(networks.decoder) == ["FC 2000"]
    assert count(networks.encoder) == fc(2000, 500) + fc(500, 100)
    assert count(networks.decoder) == fc(50, 2000)
    check_shapes(networks, NEWS, latents)


def test_shares_of_all_topics_add_up_to_one_across_the_groups() -> None:
    """ProdLDA in evaluation: log-linear in softmax(z) of both groups together."""
    networks = make(two_groups(sizes=[2, 3], correlation=0), (7,))
    decoder = decoder_of(networks).eval()
    z = torch.randn(4, 5)
    shares = z.softmax(1)
    bare = nn.Linear(5, 7, bias=False)
    bare.weight = decoder.words.weight
    expected = bare(shares) / (1 + 1e-5) ** 0.5  # running variance 1, and BatchNorm1d's ε
    torch.testing.assert_close(decoder(z), expected[:, None])


def test_dropout_leaves_out_its_share_in_training_alone() -> None:
    networks = make(dropout=0.6)
    decoder = decoder_of(networks)
    z = torch.zeros(400, 50)
    kept = decoder.before(z)
    assert kept.count_nonzero().item() / kept.numel() == pytest.approx(0.4, abs=0.02)
    assert kept.max().item() == pytest.approx(0.02 / 0.4)
    torch.testing.assert_close(decoder.eval().before(z), torch.full((400, 50), 0.02))
    assert [layer.p for layer in networks.encoder.modules() if isinstance(layer, nn.Dropout)] == [0.6]


def test_training_noise_follows_torchs_generator() -> None:
    decoder = decoder_of(make())
    torch.manual_seed(1)
    one, other = decoder(torch.zeros(3, 50)), decoder(torch.zeros(3, 50))
    torch.manual_seed(1)
    assert torch.equal(decoder(torch.zeros(3, 50)), one)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("model", ["prodlda", "nvdm"])
def test_topics_are_read_from_the_weights(model: str) -> None:
    latents = two_groups(sizes=[2, 1], correlation=0)
    networks = make(latents, (4,)) if model == "prodlda" else nvdm(input_shape=(4,), latents=latents, likelihood=WORDS)
    decoder = decoder_of(networks)
    weights = torch.tensor([[3.0, 2, 1, 0], [0, 1, 2, 3], [-5, 5, 0, 0]])
    with torch.no_grad():
        decoder.words.weight.copy_(weights.T)
    assert torch.equal(decoder.word_weights(), weights)
    topics = decoder.topics()
    torch.testing.assert_close(topics, weights.softmax(1))
    assert topics.argsort(dim=1, descending=True)[:2].tolist() == [[0, 1, 2, 3], [3, 2, 1, 0]]
    assert not topics.requires_grad


def test_a_topics_top_words_are_those_that_more_of_it_makes_likelier() -> None:
    decoder = decoder_of(nvdm(input_shape=(30,), latents=normal(size=3), likelihood=WORDS))
    gain = decoder(torch.eye(3))[:, 0] - decoder(torch.zeros(3, 3))[:, 0]
    torch.testing.assert_close(gain, decoder.word_weights())


def test_nvdms_posteriors_start_with_scale_one_however_long_a_document() -> None:
    latents = Latents([*normal(size=3).priors, *TWO_GROUPS.priors])  # type: ignore[arg-type]
    raw = nvdm(input_shape=NEWS, latents=latents, likelihood=WORDS).encoder(torch.full((1, *NEWS), 1e4))
    for part in raw.split([block.n_parameters for block in latents.blocks], dim=1):
        means, log_scales = part.chunk(2, dim=1)
        assert means.all()
        assert not log_scales.any()


def test_nvdm_takes_discrete_factors() -> None:
    latents = normal_concrete(continuous=3, categories=2, temperature=0.66, n_classes=None)
    networks = nvdm(input_shape=(30,), latents=latents, likelihood=WORDS)
    check_shapes(networks, (30,), latents)
    assert decoder_of(networks).topics().shape == (5, 30)


def test_prodlda_refuses_discrete_factors() -> None:
    latents = normal_concrete(continuous=3, categories=2, temperature=0.66, n_classes=None)
    expected = "takes continuous factors alone, the prior has a discrete class; expected prior=normal or"
    with pytest.raises(ConfigError, match=expected):
        make(latents)


@pytest.mark.parametrize("dropout", [1, -0.1, 1.5, "0.2", True, None, float("nan")])
def test_prodlda_refuses_other_rates_of_dropout(dropout: float) -> None:
    with pytest.raises(ConfigError, match=r"^model\.dropout=.*: expected a number from 0 to below 1$"):
        make(dropout=dropout)


def test_prodlda_refuses_a_scale_that_is_neither_learned_nor_not() -> None:
    with pytest.raises(ConfigError, match=r"^model\.learned_scale='no': expected true or false$"):
        make(learned_scale="no")  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["prodlda", "nvdm"])
def test_other_data_are_refused(model: str) -> None:
    options = {"dropout": 0.2, "learned_scale": True, "log_counts": True} if model == "prodlda" else {}
    factory = {"prodlda": prodlda, "nvdm": nvdm}[model]
    for shape, likelihood, given in (
        ((1, 28, 28), BernoulliLikelihood(), "1×28×28 images; expected model=mlp_mnist"),
        ((2,), GaussianLikelihood(scale=1.0), "vectors that are no counts; expected model=mlp_pinwheel"),
    ):
        with pytest.raises(ConfigError) as refusal:
            factory(input_shape=shape, latents=FIFTY, likelihood=likelihood, **options)
        assert str(refusal.value) == f"model={model} takes bags of words, the data set gives {given}"

"""Which figures a run leaves, and that they show what they say."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from engine import under_default_priors
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from hfvae_runner.data import Dataset, Split
from hfvae_runner.data.factors import Grid
from hfvae_runner.evaluation import run_figures
from hfvae_runner.evaluation.decomposition import Encoded, encode, evaluate
from hfvae_runner.evaluation.representation import represented
from hfvae_runner.figures import density, inferred, kl_history, prior_samples, reconstructions, traversals
from hfvae_runner.latents.blocks import ConcreteBlock, NormalBlock
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.isa import isa
from hfvae_runner.metrics.label_information import label_contributions
from hfvae_runner.models.likelihoods import BernoulliLikelihood, GaussianLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.vae import VAE

CPU = torch.device("cpu")
STYLE_AND_CLASS: tuple[NormalBlock | ConcreteBlock, ...] = (NormalBlock("style", 2), ConcreteBlock("class", 3, 0.66))
PLANE: tuple[NormalBlock | ConcreteBlock, ...] = (NormalBlock("z", 2),)


class SpyDecoder(nn.Module):
    """A linear decoder that keeps every batch of codes it is given."""

    def __init__(self, code: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(code, int(np.prod(shape))), nn.Unflatten(1, shape))
        self.codes: list[Tensor] = []

    def forward(self, code: Tensor) -> Tensor:
        self.codes.append(code)
        decoded: Tensor = self.layers(code)
        return decoded


def images(labels: bool, n: int = 60, size: int = 6) -> Dataset:
    x = torch.randint(0, 256, (n, 1, size, size), generator=torch.Generator().manual_seed(0)).byte()
    split = Split(x, torch.arange(n) % 3 if labels else None)
    return Dataset(split, split, "unit_interval", ("a", "b", "c") if labels else None)


def plane() -> Dataset:
    split = Split(torch.randn(50, 2, generator=torch.Generator().manual_seed(0)))
    return Dataset(split, split, "real")


def untrained(dataset: Dataset, blocks: tuple[Any, ...], latents: Latents | None = None) -> VAE:
    """The blocks under standard priors, or under those given."""
    torch.manual_seed(0)
    latents = latents or under_default_priors(*blocks)
    likelihood = GaussianLikelihood(scale="predicted") if dataset.values == "real" else BernoulliLikelihood()
    parameters = sum(block.n_parameters for block in blocks)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(dataset.input_shape)), parameters))
    decoder = SpyDecoder(latents.n_code, (likelihood.parameters_per_value, *dataset.input_shape))
    return VAE(Networks(encoder, decoder), latents, likelihood)


def history(model: VAE, rows: int = 3) -> pd.DataFrame:
    latents = model.latents
    named = latents.factor_names if latents.finest == "factor" else [block.name for block in latents.blocks]
    names = [f"kl/{name}" for name in named]
    return pd.DataFrame({"step": range(1, rows + 1)} | {name: np.linspace(0.1, 1, rows) for name in names})


def drawn(dataset: Dataset, model: VAE, rows: int = 3) -> dict[str, Figure]:
    test = encode(model, dataset.test, seed=0, batch_size=32, device=CPU)
    evaluation = evaluate(test, exact_limit=1e9)
    encoded = represented(test, dataset)
    known = label_contributions(encoded, encoded)
    frame = history(model, rows) if rows else pd.DataFrame()
    return dict(run_figures.figures(model, dataset, test, evaluation, known, frame, CPU))


@pytest.mark.parametrize(
    ("dataset", "blocks", "expected"),
    [
        (images(True), STYLE_AND_CLASS, {"label_information", "traversals"}),
        (images(False), STYLE_AND_CLASS, {"traversals"}),
        (images(False), PLANE, {"traversals", "aggregate_posterior"}),
        (plane(), PLANE, {"aggregate_posterior"}),
        (plane(), (NormalBlock("a", 1), NormalBlock("b", 1)), {"aggregate_posterior"}),
        (plane(), STYLE_AND_CLASS, set()),
        (plane(), (NormalBlock("style", 1), ConcreteBlock("class", 3, 0.66)), set()),
    ],
    ids=["labels", "no labels", "images on a plane", "plane", "two blocks", "plane with classes", "one of each"],
)
def test_which_figures(dataset: Dataset, blocks: tuple[NormalBlock | ConcreteBlock, ...], expected: set[str]) -> None:
    made = drawn(dataset, untrained(dataset, blocks))
    assert set(made) == expected | {"information_per_factor", "kl_history", "reconstructions", "prior_samples"}
    assert all(isinstance(figure, Figure) for figure in made.values())


def test_no_history_no_figure_of_it() -> None:
    assert "kl_history" not in drawn(plane(), untrained(plane(), PLANE), rows=0)


def spied(patch: pytest.MonkeyPatch, module: Any, name: str, seen: list[tuple[Any, ...]]) -> None:
    original: Callable[..., Figure] = getattr(module, name)

    def spy(*arguments: Any) -> Figure:
        seen.append(arguments)
        return original(*arguments)

    patch.setattr(module, name, spy)


def test_a_traversal_changes_its_own_factor_only(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, seen = images(True), list[tuple[Any, ...]]()
    model = untrained(dataset, STYLE_AND_CLASS)
    assert isinstance(model.decoder, SpyDecoder)
    spied(monkeypatch, traversals, "traversals", seen)
    drawn(dataset, model)
    *_, first, second, third, _prior_samples = model.decoder.codes
    still = model.latents.code(model.latents.mode(model.encode(dataset.test.x[:1].float() / 255)))
    for code, column in ((first, 0), (second, 1)):
        assert torch.allclose(code[:, column], torch.linspace(-3, 3, 11), atol=1e-6)
        others = [d for d in range(5) if d != column]
        assert torch.allclose(code[:, others], still[:, others].expand(11, -1))
    assert torch.equal(third[:, 2:], torch.eye(3)), "each category in turn"
    assert torch.allclose(third[:, :2], still[:, :2].expand(3, -1))
    ((strips, names, _, _, values, discrete),) = seen
    assert [strip.shape for strip in strips] == [(11, 1, 6, 6), (11, 1, 6, 6), (3, 1, 6, 6)]
    assert list(names) == ["style[0]", "style[1]", "class"]
    assert list(discrete) == [False, False, True]
    assert (values[0], values[-1]) == (-3, 3)
    # Probabilities of the pixels, from logits.
    expected = torch.sigmoid(model.decoder.layers(first)[:, 0])
    assert strips[0] == pytest.approx(expected.detach().numpy())


def test_prior_samples_have_a_row_for_each_category(monkeypatch: pytest.MonkeyPatch) -> None:
    """JointVAE Fig. 4, for each discrete variable."""
    blocks = (NormalBlock("style", 2), ConcreteBlock("class", 3, 0.66), ConcreteBlock("other", 2, 0.66))
    dataset, seen = images(False), list[tuple[Any, ...]]()
    model = untrained(dataset, blocks)
    assert isinstance(model.decoder, SpyDecoder)
    spied(monkeypatch, prior_samples, "prior_images", seen)
    assert {"prior_samples_class", "prior_samples_other"} <= set(drawn(dataset, model))
    assert [(pictures.shape, given) for pictures, given in seen] == [
        ((3, 10, 1, 6, 6), "class"),
        ((2, 10, 1, 6, 6), "other"),
    ]
    *_, of_class, of_other = model.decoder.codes
    assert torch.equal(of_class[:, 2:5].unflatten(0, (3, 10)), torch.eye(3)[:, None].expand(3, 10, 3))
    assert set(of_class[:, 5:].flatten().tolist()) == {0, 1}, "the other variable is drawn"
    assert len(of_class[:, 0].unique()) == 30, "and so is the style"
    assert torch.equal(of_other[:, 5:].unflatten(0, (2, 10)), torch.eye(2)[:, None].expand(2, 10, 2))


def test_a_prior_without_marginals_per_factor_has_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, seen = images(True), list[tuple[Any, ...]]()
    latents = isa(size=4, subspaces=2, root_exponent=2.1, exponents=1.5, scale=1.0, learned=False)
    spied(monkeypatch, kl_history, "kl_history", seen)
    made = drawn(dataset, untrained(dataset, latents.blocks, latents))
    assert {"information_per_factor", "kl_history", "traversals", "prior_samples"} <= set(made)
    ((_steps, _values, names, discrete),) = seen
    assert (names, discrete) == (["subspace_1", "subspace_2"], [False, False])


def test_reconstructions_show_two_of_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    # Stored class by class: the first twenty are all alike.
    x = torch.arange(60).repeat_interleave(36).view(60, 1, 6, 6).byte()
    split = Split(x, torch.arange(60) // 6)
    dataset = Dataset(split, split, "unit_interval", tuple("abcdefghij"))
    seen: list[tuple[Any, ...]] = []
    spied(monkeypatch, reconstructions, "reconstructions", seen)
    model = untrained(dataset, STYLE_AND_CLASS)
    drawn(dataset, model)
    ((originals, made),) = seen
    classes = (originals[:, 0, 0, 0] * 255).round().astype(int) // 6
    assert list(classes) == [*range(10), *range(10)]
    assert made.shape == originals.shape == (20, 1, 6, 6)
    code = model.latents.code(model.latents.mode(model.encode(torch.as_tensor(originals))))
    assert made == pytest.approx(torch.sigmoid(model.decode(code)[:, 0]).detach().numpy())


def test_a_class_of_one_example_is_shown() -> None:
    split = Split(torch.zeros(4, 1, 6, 6).byte(), torch.tensor([0, 0, 0, 2]))
    dataset = Dataset(split, split, "unit_interval", ("a", "b", "c"))
    assert "reconstructions" in drawn(dataset, untrained(dataset, STYLE_AND_CLASS))


def test_the_aggregate_posterior_stands_where_the_means_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    spied(monkeypatch, density, "aggregate_posterior", seen)
    dataset = plane()
    model = untrained(dataset, PLANE)
    encoder = model.encoder
    assert isinstance(encoder, nn.Sequential)
    linear = encoder[1]
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.copy_(torch.tensor([1.5, -0.5, -2.0, -2.0]))  # every posterior is N((1.5, −0.5), e^−4)
    drawn(dataset, model)
    (arguments,) = seen
    q: NDArray[np.float64] = arguments[0]
    (left, right, bottom, top), p, means = arguments[1:]
    row, column = np.unravel_index(q.argmax(), q.shape)
    z_1, z_2 = np.linspace(left, right, q.shape[1])[column], np.linspace(bottom, top, q.shape[0])[row]
    step = (right - left) / (q.shape[1] - 1)
    assert (z_1, z_2) == pytest.approx((1.5, -0.5), abs=step)
    assert q.sum() * step**2 == pytest.approx(1, abs=1e-3)
    assert p.sum() * step**2 == pytest.approx(1, abs=5e-3)
    assert p.max() == pytest.approx(1 / (2 * np.pi), rel=1e-2)
    assert means == pytest.approx(np.tile([1.5, -0.5], (50, 1)))


def test_the_grid_reaches_as_far_as_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    spied(monkeypatch, density, "aggregate_posterior", seen)
    latents = under_default_priors(*PLANE)
    posterior = [torch.tensor([[9.0, 0, -2, -2], [0, -20, -2, -2]])]
    one = Encoded(latents, posterior, [posterior[0][:, :2]], torch.zeros(2), None, torch.arange(2))
    run_figures._aggregate_posterior(one)
    assert seen[0][1] == pytest.approx((-22, 22, -22, 22))


def with_factors(names: tuple[str, ...] = ("shape", "x", "y"), nuisance: tuple[str, ...] = ("shape",)) -> Dataset:
    """Images of 2 × 3 × 5 combinations, whose first pixels are the values of the second and the third factor."""
    grid = Grid(names, (2, 3, 5), nuisance)
    cells = grid.cells()
    x = torch.zeros(30, 1, 6, 6, dtype=torch.uint8)
    x[:, 0, 0, :2] = (cells[:, 1:] * 50).byte()
    split = Split(x, factors=cells)
    return Dataset(split, split, "unit_interval", factors=grid)


def test_factors_are_shown_with_the_latent_that_tells_most_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, seen = with_factors(), list[tuple[Any, ...]]()
    model = untrained(dataset, STYLE_AND_CLASS)
    with torch.no_grad():
        layer = model.encoder[1]  # type: ignore[index]
        layer.weight.zero_()
        layer.weight[0, 1] = 1.0  # style[0] is y
        layer.weight[1, :2] = torch.tensor([1.0, 0.2])  # style[1] is x and a little of y
    spied(monkeypatch, inferred, "inferred", seen)
    assert "inferred_factors" in drawn(dataset, model)
    ((found,),) = seen
    assert [(each.factor, each.latent) for each in found] == [("x", "style[1]"), ("y", "style[0]")]
    variances = {"x": 2 / 3, "y": 0.04 * 2}
    assert found[0].share == pytest.approx(variances["x"] / sum(variances.values()), abs=1e-6)
    assert found[1].share == pytest.approx(1)
    for each in found:
        np.testing.assert_allclose(np.corrcoef(each.values, each.means)[0, 1], each.share**0.5, atol=1e-6)


def test_no_continuous_latent_and_no_varying_factor_leave_no_figure_of_factors() -> None:
    dataset = with_factors()
    discrete = (ConcreteBlock("class", 3, 0.66), ConcreteBlock("other", 2, 0.66))
    assert "inferred_factors" not in drawn(dataset, untrained(dataset, discrete))
    nuisance = with_factors(nuisance=("shape", "x", "y"))
    assert "inferred_factors" not in drawn(nuisance, untrained(nuisance, STYLE_AND_CLASS))


def test_shares_are_those_of_a_regression_on_the_values_and_0_of_a_constant() -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(4, size=200)
    means = np.stack([generator.normal(size=200) + values, np.full(200, 0.3), generator.normal(size=200)], axis=1)
    found = run_figures.explained(values, means)
    one_hot = np.eye(4)[values]
    for d in (0, 2):
        fitted = one_hot @ np.linalg.lstsq(one_hot, means[:, d], rcond=None)[0]
        assert found[d] == pytest.approx(fitted.var() / means[:, d].var())
    assert found[1] == 0

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hfvae_runner.distributions import normal, planar

raw = st.floats(-50, 50)
steps = st.lists(st.tuples(raw, raw, raw), min_size=1, max_size=4)


def flow(
    factors: int, n_steps: int, seed: int, *, size: float = 1.0, dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(size * torch.randn(3, factors, n_steps, generator=generator, dtype=dtype))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_steps", [1, 8, 32])
def test_each_factors_density_integrates_to_one(n_steps: int, seed: int) -> None:
    parameters = flow(2, n_steps, seed)
    reach = 10 + 2 * parameters[0].abs().sum(1).max().item()
    z = torch.linspace(-reach, reach, 40_001, dtype=torch.float64)
    density = planar.log_prob(z[:, None].expand(-1, 2), *parameters).exp()
    torch.testing.assert_close(torch.trapezoid(density, z, dim=0), torch.ones(2).double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_slope_is_that_of_the_base(seed: int) -> None:
    parameters = flow(3, 6, seed)
    z = 2 * torch.randn(50, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    base, log_slope = planar.forward(z.requires_grad_(), *parameters)
    (slope,) = torch.autograd.grad(base.sum(), z)
    torch.testing.assert_close(log_slope.exp(), slope, rtol=1e-9, atol=1e-12)


def test_by_hand() -> None:
    u, w, b = (torch.tensor([[value]], dtype=torch.float64) for value in (-1.5, 2.0, 0.5))
    # x = u·w = −3; h(x) = (x + √(x² + 4))/2 − 1, û = h/w.
    step = ((-3 + math.sqrt(13)) / 2 - 1) / 2
    z = torch.tensor([[0.3], [-2.0]], dtype=torch.float64)
    base, log_slope = planar.forward(z, u, w, b)
    torch.testing.assert_close(base, z + step * torch.tanh(2 * z + 0.5))
    torch.testing.assert_close(log_slope, torch.log(1 + step * 2 / torch.cosh(2 * z + 0.5) ** 2))


def test_any_step_above_the_bound_can_be_reached() -> None:
    # û·w = −1 + ε and û·w = 1/ε, both near a wide range of raw values.
    x = torch.tensor([[-1e3, -1.0, 0.0, 1.0, 1e3]], dtype=torch.float64)
    z = torch.zeros(1, 1, dtype=torch.float64)
    slope = torch.stack([planar.forward(z, u[:, None], torch.ones(1, 1).double(), 0 * u[:, None])[1] for u in x.T])
    torch.testing.assert_close(
        slope.exp().flatten(), torch.tensor([1e-3, 0.618034, 1, 1.618034, 1e3]).double(), rtol=1e-5, atol=0
    )


def test_without_u_it_is_the_standard_normal_one() -> None:
    u, w, b = flow(2, 4, 0)
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    base, log_slope = planar.forward(z, 0 * u, w, b)
    torch.testing.assert_close(base, z)
    torch.testing.assert_close(log_slope, torch.zeros_like(z))
    expected = normal.log_prob(z, torch.zeros(()), torch.zeros(()))
    torch.testing.assert_close(planar.log_prob(z, 0 * u, w, b), expected)


@settings(max_examples=100)
@given(steps, st.sampled_from([torch.float32, torch.float64]))
def test_monotone_for_any_raw_parameters(parameters: list[tuple[float, float, float]], dtype: torch.dtype) -> None:
    u, w, b = torch.tensor(parameters, dtype=dtype).T[:, None, :].requires_grad_()
    z = torch.linspace(-20, 20, 801, dtype=dtype)[:, None]
    base, log_slope = planar.forward(z, u, w, b)
    assert log_slope.isfinite().all()
    reach = 20 + u.abs().sum().item()
    assert (base.diff(dim=0) >= -20 * torch.finfo(dtype).eps * reach).all()
    gradients = torch.autograd.grad(base.sum() + log_slope.sum(), (u, w, b))
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("size", [1e4, 1e9, 1e15])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_slope_stays_above_zero_for_huge_raw_parameters(size: float, dtype: torch.dtype) -> None:
    for signs in ((1, 1), (1, -1), (-1, 1)):
        u, w = (torch.full((1, 3), sign * size, dtype=dtype) for sign in signs)
        z = torch.linspace(-2, 2, 101, dtype=dtype)[:, None]
        assert planar.forward(z, u, w, torch.zeros_like(u))[1].isfinite().all()


@pytest.mark.parametrize("w", [0.0, 1e-30, -1e-12])
def test_a_step_without_slope_is_a_shift(w: float) -> None:
    parameters = [torch.tensor([[value]], dtype=torch.float64, requires_grad=True) for value in (0.8, w, 0.6)]
    z = torch.tensor([[-1.0], [2.0]], dtype=torch.float64)
    base, log_slope = planar.forward(z, *parameters)
    torch.testing.assert_close(base, z + 0.4 * math.tanh(0.6))
    torch.testing.assert_close(log_slope, torch.zeros_like(z))
    assert all(each.isfinite().all() for each in torch.autograd.grad(base.sum() + log_slope.sum(), parameters))


def test_gradients_of_the_density() -> None:
    z = torch.randn(4, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    inputs = [each.requires_grad_() for each in (z, *flow(2, 3, 1))]
    assert torch.autograd.gradcheck(planar.log_prob, inputs)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("n_steps", [1, 32])
def test_inverse_undoes_forward(n_steps: int, dtype: torch.dtype, tolerance: float) -> None:
    parameters = flow(3, n_steps, 0, size=0.7, dtype=dtype)
    base = 2 * torch.randn(200, 3, generator=torch.Generator().manual_seed(5), dtype=dtype)
    z = planar.inverse(base, *parameters)
    assert z.dtype == dtype
    torch.testing.assert_close(planar.forward(z, *parameters)[0], base, rtol=tolerance, atol=tolerance)


@settings(max_examples=50)
@given(steps, st.floats(-30, 30))
def test_inverse_brackets_the_base_for_any_raw_parameters(
    parameters: list[tuple[float, float, float]], base: float
) -> None:
    u, w, b = torch.tensor(parameters, dtype=torch.float64).T[:, None, :].requires_grad_()
    target = torch.tensor([[base]], dtype=torch.float64)
    z = planar.inverse(target, u, w, b)
    near = torch.cat([z - 1e-9, z + 1e-9]).detach()
    below, above = planar.forward(near, u, w, b)[0].flatten().tolist()
    assert below - 1e-9 <= base <= above + 1e-9
    assert not any(each.isnan().any() for each in torch.autograd.grad(z, (u, w, b)))


def test_implicit_gradient_by_finite_differences() -> None:
    base = torch.randn(4, 2, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    inputs = [each.requires_grad_() for each in (base, *flow(2, 3, 2, size=0.6))]
    assert torch.autograd.gradcheck(planar.inverse, inputs, atol=1e-5)


def test_samples_follow_the_density() -> None:
    parameters = flow(1, 8, 4)
    base = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    z = planar.inverse(base, *parameters)[:, 0]
    grid = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    density = planar.log_prob(grid[:, None], *parameters).exp()[:, 0]
    cdf = torch.cumulative_trapezoid(density, grid).numpy()

    def cumulative(x: np.ndarray) -> np.ndarray:
        return np.interp(x, grid[1:].numpy(), cdf)

    assert scipy.stats.kstest(z.numpy(), cumulative).pvalue > 1e-3
    assert scipy.stats.kstest(base[:, 0].numpy(), cumulative).pvalue < 1e-6

"""However a step runs, its losses and gradients are the same: by fused kernels or tables, compiled, in bfloat16."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from launching import resolved
from torch import Tensor

from hfvae_runner import build, schema
from hfvae_runner.distributions import fused_mixture
from hfvae_runner.launch.composition import config_folder
from hfvae_runner.train import Run

pytestmark = pytest.mark.usefixtures("one_thread")

OBJECTIVES = sorted(path.stem for path in (config_folder() / "objective").glob("*.yaml"))
CASES = [f"objective={name}" for name in OBJECTIVES]
CASES += ["discrete_density=enumerate", "discrete_density=concrete", "supervision.fraction=0.1", "model=conv_joint32"]
# With compiled code of a fused kernel, a table, a closed form and a critic; all others by name.
QUICK = {"objective=hfvae", "objective=isa_vae", "objective=factor_vae", "discrete_density=enumerate"}
COMPILED = [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES]


@pytest.fixture(scope="module", autouse=True)
def _no_hydra_afterwards() -> Iterator[None]:
    yield
    HydraConfig.instance().cfg = None


def a_run(case: str, *overrides: str) -> Run:
    size = "image_size=32" if "conv" in case else "image_size=8"
    return build.assemble(schema.parse(resolved(case, size, "batch_size=32", "device=cpu", *overrides)))


def evaluated(run: Run, loss: Callable[..., Any]) -> tuple[list[Tensor], list[Tensor]]:
    """The loss and the values of the first batch, and all gradients."""
    generator = torch.Generator().manual_seed(0)
    x, labels = run.batches.at(0)
    noise = run.model.latents.noise(len(x), generator)
    own_noise = run.objective.noise(len(x), generator)
    total, values = loss(x, labels, noise, own_noise, run.objective.knobs(0, run.device))
    parameters = [*run.model.parameters(), *run.objective.parameters()]
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
    return [total.detach(), *values.values()], list(gradients)


def assert_same(found: tuple[list[Tensor], list[Tensor]], expected: tuple[list[Tensor], list[Tensor]]) -> None:
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-5)
    for one, other in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * (1 + other.abs().max().item()))


@pytest.mark.parametrize("case", CASES)
def test_tables_give_what_the_fused_kernels_do(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(case)
    fused = evaluated(run, run.loss)
    monkeypatch.setattr(fused_mixture, "supports", lambda like: False)
    assert_same(evaluated(run, run.loss), fused)


@pytest.mark.parametrize("case", COMPILED)
def test_torch_traces_all_of_a_step(case: str) -> None:
    """As one graph, and with the same results where the graph's nodes run one by one."""
    run = a_run(case)
    torch._dynamo.reset()
    traced = torch.compile(run.loss, backend="aot_eager", dynamic=False, fullgraph=True)
    assert_same(evaluated(run, traced), evaluated(run, run.loss))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_compiled_step_gives_what_an_eager_one_does(case: str) -> None:
    run = a_run(case)
    torch._dynamo.reset()
    compiled = torch.compile(run.loss, dynamic=False, fullgraph=True)
    assert_same(evaluated(run, compiled), evaluated(run, run.loss))


@pytest.mark.parametrize("case", ["objective=hfvae", "objective=beta_tcvae", "model=conv_joint32"])
def test_bfloat16_stays_in_the_networks(case: str) -> None:
    exact, rounded = a_run(case), a_run(case, "precision=bf16")
    expected, found = evaluated(exact, exact.loss), evaluated(rounded, rounded.loss)
    assert all(value.dtype == torch.float32 for value in [*found[0], *found[1]])
    assert not torch.equal(found[0][0], expected[0][0])
    torch.testing.assert_close(found[0][0], expected[0][0], rtol=2e-3, atol=0)
    # Evaluation, which does not say a precision, is exact.
    x = torch.rand(2, *rounded.dataset.input_shape)
    for one, other in zip(rounded.model.encode(x), exact.model.encode(x), strict=True):
        assert torch.equal(one, other)

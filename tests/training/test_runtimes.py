"""However a step runs, it gives the same: by fused kernels or tables, compiled, in bfloat16, recorded.

Without a GPU a recording is imitated (tests/taping.py), and it is shown that nothing of a step would wait for one.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from comparing import history, last, leaves
from gpus import needs_gpu
from hydra.core.hydra_config import HydraConfig
from launching import resolved
from stacks import poisoned, stacked, tiny
from taping import OnGpuAlone, Tape
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils._pytree import tree_map_only

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config, RuntimeConfig
from hfvae_runner.distributions import fused_mixture
from hfvae_runner.errors import ConfigError, Diverged
from hfvae_runner.launch.composition import config_folder
from hfvae_runner.runs import assembly, group, single
from hfvae_runner.training import graph
from hfvae_runner.training.graph import WARM_UP
from hfvae_runner.training.run import Run, inputs_of, steps_of

pytestmark = pytest.mark.usefixtures("one_thread")

OBJECTIVES = sorted(path.stem for path in (config_folder() / "objective").glob("*.yaml"))
CASES = [f"objective={name}" for name in OBJECTIVES]
CASES += ["discrete_density=enumerate", "discrete_density=concrete", "supervision.fraction=0.1", "model=conv_joint32"]
# With compiled code of a fused kernel; all others are marked slow.
COMPILED = [case if case == "objective=hfvae" else pytest.param(case, marks=pytest.mark.slow) for case in CASES]


@pytest.fixture(scope="module", autouse=True)
def _no_hydra_afterwards() -> Iterator[None]:
    yield
    HydraConfig.instance().cfg = None


def a_run(case: str, *overrides: str) -> Run:
    return assembly.assemble(config(case, *overrides))


@cache
def config(case: str, *overrides: str) -> Config:
    size = "image_size=32" if "conv" in case else "image_size=8"
    pairs = ("dataset.pairs={column: label}",) if "=ada_" in case else ()
    return schema.parse(resolved(case, size, "batch_size=32", "device=cpu", *pairs, *overrides))


def evaluated(run: Run, loss: Callable[..., Any]) -> tuple[list[Tensor], list[Tensor]]:
    """The loss and the values of the first batch, and all gradients; a controller is afterwards as it was before."""
    before = deepcopy(run.objective.state_dict())
    generator = torch.Generator().manual_seed(0)
    batch = run.batches.at(0)
    noise = run.model.latents.noise(len(batch.x), generator)
    own_noise = run.objective.noise(len(batch.x), generator)
    total, values = loss(*batch, noise, own_noise, run.objective.knobs(0, run.device))
    parameters = [*run.model.parameters(), *run.objective.parameters()]
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
    run.objective.load_state_dict(before)
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


# Recorded steps

PRIORS = sorted(path.stem for path in (config_folder() / "prior").glob("*.yaml"))
LIKELIHOODS = ["continuous_bernoulli", "gaussian", "laplace"]
VARIED = [*CASES, *(f"prior={name}" for name in PRIORS), *(f"likelihood={name}" for name in LIKELIHOODS)]


@cache
def a_small_run(case: str, *overrides: str) -> Run:
    """Not to be trained itself."""
    if case.startswith(("prior", "likelihood")):
        # An objective that the prior goes with, and as many factors as conf/prior/mixture.yaml has coordinates.
        objective = "objective=qlae" if case == "prior=quantised" else "objective=vae"
        overrides = (objective, "latents=2", *overrides)
    if case == "objective=factor_vae":
        overrides = ("objective.terms.critic_total_correlation.hidden=8", *overrides)
    return a_run(case, "batch_size=8", *overrides)


def copied(run: Run, *, graph: bool) -> Run:
    """The same, recorded or not."""
    config = replace(run.config, runtime=RuntimeConfig(compile=False, graph=graph))
    return replace(run, config=config, model=deepcopy(run.model), objective=deepcopy(run.objective))


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """What records in place of CUDA, each after a single step; one more for each step that is made."""
    made: list[Tape] = []

    def recorder(device: torch.device) -> Tape:
        made.append(Tape())
        return made[-1]

    monkeypatch.setattr(graph, "CudaRecorder", recorder)
    monkeypatch.setattr(graph, "check", lambda device: None)
    monkeypatch.setattr(graph, "WARM_UP", 1)
    return made


def taken(runs: Sequence[Run], steps: int) -> list[Tensor]:
    """What so many steps give, and then all parameters."""
    team = [(run, single.initial_state(run)) for run in runs]
    take_step, found = steps_of(team), []
    for _ in range(steps):
        losses, values = take_step([inputs_of(*each) for each in team])
        found += [each.clone() for each in (losses, *values.values())]
        for _, state in team:
            state.step += 1
    parts = (part for run in runs for part in (run.model, run.objective))
    return [*found, *(each for part in parts for each in part.state_dict().values())]


def assert_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    assert len(found) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_step_gives_what_an_eager_one_does(case: str, tapes: list[Tape]) -> None:
    """To the bit, and with schedules that move: nothing of a step is known to Python alone, and nothing waits."""
    run = a_small_run(case)
    assert_equal(*(taken([copied(run, graph=recorded)], 3) for recorded in (True, False)))
    assert [(tape.aside_taken, tape.replays) for tape in tapes] == [(1, 2)]


@pytest.mark.parametrize("case", ["objective=hfvae", "objective=factor_vae"])
def test_a_stack_is_recorded_as_one(case: str, tapes: list[Tape]) -> None:
    runs = [a_small_run(case, f"seed={seed}", f"lr={lr}") for seed, lr in enumerate((1e-3, 1e-3, 1e-2))]
    assert_equal(*(taken([copied(run, graph=recorded) for run in runs], 3) for recorded in (True, False)))
    assert [tape.replays for tape in tapes] == [2]


@pytest.mark.parametrize("case", VARIED)
def test_nothing_of_a_loss_leaves_the_gpu(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On imagined CUDA tensors, which have no values to look at."""
    monkeypatch.setattr(fused_mixture, "supports", lambda like: True)
    run = a_small_run(case)
    parts = nn.ModuleDict({"model": run.model, "objective": run.objective})
    inputs = inputs_of(run, single.initial_state(run))

    class Loss(nn.Module):
        parts: nn.Module

        def forward(self, *given: Any) -> Any:
            return run.loss(*given)

    loss = Loss()
    loss.parts = parts
    with FakeTensorMode() as imagined:

        def there(tensor: Tensor) -> Tensor:
            return torch.empty_like(imagined.from_tensor(tensor), device="cuda")

        state = {name: there(each) for name, each in [*loss.named_parameters(), *loss.named_buffers()]}
        given = tree_map_only(Tensor, there, inputs)
        with OnGpuAlone():
            total, values = functional_call(loss, state, given)
    assert {each.device.type for each in (total, *values.values())} == {"cuda"}


@pytest.mark.parametrize(
    "leak",
    [
        lambda x: x.sum().item(),
        lambda x: x + torch.zeros(3),
        lambda x: x * torch.tensor(2.0, device="cuda"),
        lambda x: x[x > 0],
        lambda x: x.cpu(),
    ],
)
def test_the_test_sees_what_leaves_the_gpu(leak: Callable[[Tensor], object]) -> None:
    with FakeTensorMode():
        x = torch.zeros(3, device="cuda")
        with pytest.raises(Exception), OnGpuAlone():  # noqa: B017
            leak(x)


def test_the_optimiser_may_be_recorded_where_the_step_is() -> None:
    run = a_small_run("objective=factor_vae")
    for recorded in (True, False):
        groups = assembly.optimizer_of(copied(run, graph=recorded)).param_groups
        assert [parameters["capturable"] for parameters in groups] == [recorded] * 2


def a_config(member: int, *, recorded: bool, **changes: Any) -> Config:
    return tiny("vae", member, runtime={"graph": recorded}, **changes)


def same_runs(folder: Path, other: Path) -> None:
    """To the bit, but for how the optimiser was told to go on."""
    contents = [last(each) for each in (folder, other)]
    for content in contents:
        for parameters in content["optimizer"]["param_groups"]:
            del parameters["capturable"]
        del content["seconds"], content["config"]
    one, two = (dict(leaves(content)) for content in contents)
    assert one.keys() == two.keys()
    for place, value in one.items():
        assert torch.equal(value, two[place]) if isinstance(value, Tensor) else value == two[place], place
    pd.testing.assert_frame_equal(history(folder), history(other), check_exact=True)


def test_a_run_goes_on_recorded_or_not(tapes: list[Tape], tmp_path: Path) -> None:
    for steps, recorded in ((3, True), (6, False), (9, True)):
        single.run(a_config(0, recorded=recorded, steps=steps, resume="auto"), tmp_path / "one")
    single.run(a_config(0, recorded=False, steps=9), tmp_path / "two")
    same_runs(tmp_path / "one", tmp_path / "two")
    assert [tape.replays for tape in tapes] == [2, 2]


def test_another_learning_rate_is_another_recording(
    tapes: list[Tape], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for recorded in (True, False):
        with monkeypatch.context() as patch:
            poisoned(patch, seed=0, step=6)
            config = a_config(0, recorded=recorded, steps=9, on_divergence="restart")
            single.run(config, tmp_path / str(recorded))
    same_runs(tmp_path / "True", tmp_path / "False")
    assert last(tmp_path / "True")["restarts"] == [{"step": 4, "lr": 5e-4}]
    assert [tape.replays for tape in tapes] == [6, 4]


def test_those_that_are_left_are_recorded_anew(tapes: list[Tape], tmp_path: Path) -> None:
    rates = (1e-3, 1e9, 1e-2)
    for recorded in (True, False):
        configs = [a_config(member, recorded=recorded, steps=9, lr=lr) for member, lr in enumerate(rates)]
        assert group.stack_capacity(configs[0]).obstacle is None
        first, broken, third = stacked(configs, tmp_path / str(recorded))
        assert (first, type(broken), third) == (None, Diverged, None)
    for index in "02":
        same_runs(tmp_path / "True" / index, tmp_path / "False" / index)
    assert len(tapes) == 2


def test_a_run_is_evaluated_on_a_machine_that_could_not_train_it(tmp_path: Path) -> None:
    spec = resolved("objective=vae", "prior=normal", "image_size=8", "device=cpu")
    trained = assembly.assemble(schema.parse(spec))
    single.initial_state(trained).save(_checkpoints(tmp_path), keep=1, config_text="")
    spec |= {"precision": "tf32", "runtime": {"compile": True, "graph": True}}
    config = schema.parse(spec)
    with pytest.raises(ConfigError, match="expected"):
        assembly.check(config)
    run = assembly.finished_run(config, tmp_path)
    assert_equal(list(run.model.state_dict().values()), list(trained.model.state_dict().values()))


def _checkpoints(folder: Path) -> Path:
    (folder / "checkpoints").mkdir()
    return folder / "checkpoints"


# On a GPU

ON_GPU = ["objective=hfvae", "objective=factor_vae", "objective=isa_vae", "objective=joint_vae", "model=conv_joint32"]
ON_GPU += ["discrete_density=enumerate", "supervision.fraction=0.1", "precision=tf32", "precision=bf16"]


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Whatever the order in which a GPU has added."""
    torch.testing.assert_close(list(found), list(expected), rtol=1e-3, atol=1e-4)


@needs_gpu
@pytest.mark.parametrize("case", ON_GPU)
def test_on_a_gpu_a_recorded_step_gives_what_an_eager_one_does(case: str) -> None:
    run = a_small_run(case, "device=cuda")
    assert_close(*(taken([copied(run, graph=recorded)], WARM_UP + 3) for recorded in (True, False)))


@needs_gpu
def test_on_a_gpu_a_stack_is_recorded_as_one() -> None:
    runs = [a_small_run("objective=hfvae", f"seed={seed}", "device=cuda") for seed in range(3)]
    assert_close(*(taken([copied(run, graph=recorded) for run in runs], WARM_UP + 3) for recorded in (True, False)))


@needs_gpu
@pytest.mark.slow
def test_on_a_gpu_a_compiled_step_is_recorded() -> None:
    run = a_small_run("objective=hfvae", "device=cuda")
    compiled = copied(run, graph=True)
    compiled = replace(compiled, config=replace(compiled.config, runtime=RuntimeConfig(compile=True, graph=True)))
    torch._dynamo.reset()
    assert_close(taken([compiled], WARM_UP + 3), taken([copied(run, graph=False)], WARM_UP + 3))


@needs_gpu
def test_on_a_gpu_a_run_goes_on_recorded_or_not(tmp_path: Path) -> None:
    for steps, recorded in ((6, True), (9, False), (15, True)):
        single.run(a_config(0, recorded=recorded, steps=steps, resume="auto", device="cuda"), tmp_path / "one")
    single.run(a_config(0, recorded=False, steps=15, device="cuda"), tmp_path / "two")
    rows = [history(tmp_path / name) for name in ("one", "two")]
    pd.testing.assert_frame_equal(*rows, rtol=1e-3, atol=1e-3)


@needs_gpu
def test_on_a_gpu_what_waits_is_refused_and_another_run_goes_on() -> None:
    run = copied(a_small_run("objective=vae", "device=cuda"), graph=True)

    class Waiting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum().item() < 1e9 else -x

    run.model.encoder = nn.Sequential(run.model.encoder, Waiting())
    with pytest.raises(ConfigError, match=r"^runtime.graph=true: the step cannot be captured \(.*; expected false$"):
        taken([run], WARM_UP + 1)
    test_on_a_gpu_a_recorded_step_gives_what_an_eager_one_does("objective=vae")


@needs_gpu
def test_on_a_gpu_no_eager_step_waits() -> None:
    """But for the first ones: what a later step asks for is there."""
    run = copied(a_small_run("objective=hfvae", "device=cuda"), graph=False)
    team = [(run, single.initial_state(run))]
    take_step = steps_of(team)
    take_step([inputs_of(*each) for each in team])
    torch.cuda.set_sync_debug_mode("error")
    try:
        take_step([inputs_of(*each) for each in team])
    finally:
        torch.cuda.set_sync_debug_mode("default")

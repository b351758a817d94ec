"""The ways to compute a setting's steps: a plain loop, ours on each runtime, and the matrix products alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from _bench import floor
from _bench.plain import PlainLoop
from _bench.settings import config_of
from hfvae_runner.config.names import Precision
from hfvae_runner.config.schema import Config
from hfvae_runner.data import as_float
from hfvae_runner.models.precision import step_in
from hfvae_runner.runs import assembly, single
from hfvae_runner.training import step
from hfvae_runner.training.graph import WARM_UP
from hfvae_runner.training.run import inputs_of, steps_of
from hfvae_runner.training.stack import StepResults

# Takes a number of steps and returns the seconds that they took.
Turn = Callable[[int], float]
PLAIN = "plain loop"
GRAPH = "runtime.graph=true"


@dataclass(frozen=True)
class Way:
    """How a setting's steps are computed.

    Attributes:
        title: its name in the table.
        overrides: the overrides with which ours runs this way; None for the plain loop.
        precision: the precision of its matrix products, and of the products alone that it is compared with.
    """

    title: str
    overrides: tuple[str, ...] | None
    precision: Precision


def ways(device: torch.device, *, compiled: bool) -> dict[str, Way]:
    """Return the plain loop first, then ours; on a GPU also with steps recorded as a graph.

    Raises:
        ConfigError: ``compiled`` is set, and there is no compiler.
    """
    precisions: tuple[Precision, ...] = ("fp32", "tf32", "bf16") if device.type == "cuda" else ("fp32", "bf16")
    kinds: dict[str, tuple[str, ...]] = {"": ()}
    if device.type == "cuda":
        kinds[", graph"] = (GRAPH,)
    if compiled:
        step.check_compiler(device)
        kinds |= {f", compiled{kind}": ("runtime.compile=true", *own) for kind, own in kinds.items()}
    found = [Way(PLAIN, None, "fp32")]
    for kind, own in kinds.items():
        found += [Way(f"{each}{kind}", (f"precision={each}", *own), each) for each in precisions]
    return {way.title: way for way in found}


def turn_of(experiment: str, way: Way, overrides: Sequence[str]) -> Turn:
    """Return a function that takes the way's steps on an experiment; each call continues after the last one.

    Raises:
        RunnerError: the config cannot run here.
    """
    config = config_of(experiment, [*overrides, *(way.overrides or ())])
    return plain(experiment, config) if way.overrides is None else ours(config)


def plain(experiment: str, config: Config) -> Turn:
    """Return the plain loop over the config's networks, data and optimiser settings."""
    assembly.use_threads(config)
    run = assembly.assemble(config)
    x = run.dataset.train.x
    # In parts, since each is a copy.
    images = torch.cat([as_float(x[index].cpu()) for index in torch.arange(len(x)).split(4096)])
    model = run.model.to(memory_format=torch.contiguous_format).train()
    loop = PlainLoop(
        experiment,
        model.encoder,
        model.decoder,
        images,
        batch_size=config.batch_size,
        lr=config.lr,
        amsgrad=config.train.amsgrad,
    )

    def take(steps: int) -> float:
        # torch's default.
        torch.backends.cudnn.allow_tf32 = True
        return loop(steps)

    return take


def ours(config: Config) -> Turn:
    """Return a run's own steps, as its training loop takes them."""
    return together([config])


def together(configs: Sequence[Config], layout: torch.memory_format = torch.channels_last) -> Turn:
    """Return the steps of one run, or of several stacked runs that each take the number of steps.

    Args:
        configs: the runs' configs.
        layout: the memory layout of convolutions' weights; the default is a run's own.
    """
    assembly.use_threads(configs[0])
    runs = [assembly.assemble(config) for config in configs]
    states = [single.initial_state(run) for run in runs]
    for run in runs:
        run.model.to(memory_format=layout).train()
        # The runs differ only in their seeds: they share one copy of the data, as in a group of runs.
        run.batches.x = runs[0].batches.x
    first, device = runs[0], runs[0].device
    team = list(zip(runs, states, strict=True))
    take_step = steps_of(team)

    def take(steps: int) -> float:
        synchronise(device)
        start = time.perf_counter()
        for _ in range(steps):
            results = StepResults(*take_step([inputs_of(*each) for each in team]))
            # On a GPU the training loop reads the results only when something is due to be written.
            if device.type == "cpu" and not results.all_finite():
                raise FloatingPointError(f"{first.config.choices} diverged at step {states[0].step}")
            for state in states:
                state.step += 1
        synchronise(device)
        return time.perf_counter() - start

    if first.config.runtime.graph:
        # The warm-up steps and the recording are not part of any turn.
        take(WARM_UP + 1)
    return take


def products_of(config: Config, *, by_torch: bool = False) -> Turn:
    """Return the matrix products of the config's steps, in the precision and the layouts of its run.

    Args:
        config: the run's config.
        by_torch: whether torch's own products are used, even if our layers have faster ones.
    """
    assembly.use_threads(config)
    run = assembly.assemble(config)
    x = run.batches.at(0).x
    code = torch.randn(len(x), run.model.latents.n_code, device=run.device)
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    found = floor.products(run.model.encoder, run.model.decoder, as_float(x), code, dtype, by_torch=by_torch)

    def take(steps: int) -> float:
        synchronise(run.device)
        start = time.perf_counter()
        with torch.no_grad(), step_in(config.precision):
            for _ in range(steps):
                for product in found:
                    product.run()
        synchronise(run.device)
        return time.perf_counter() - start

    return take


def measured(turns: Mapping[str, Turn], *, steps: int, rounds: int) -> dict[str, list[float]]:
    """Measure every way's seconds per step, one number per round; each way has one turn per round, after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for take in turns.values():
        take(min(steps, 2))
    for _ in range(rounds):
        for name, take in turns.items():
            seconds[name].append(take(steps) / steps)
    return seconds


def ratio(over: Sequence[float], under: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the least and the largest of the rounds' ratios."""
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    return median(ratios), min(ratios), max(ratios)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has completed its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

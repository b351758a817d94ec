"""Measures the time of a training step of each objective, as a ratio to a step of `objective=vae`.

    python scripts/step_cost.py [KEY=VALUE ...] [--objectives NAME,...] [--rounds 15] [--steps 10]

The overrides apply to every objective, such as `batch_size=512 threads=1 device=cuda dataset=mnist`. The objectives
take turns of `--steps` steps for `--rounds` rounds, so that other load of the machine affects all of them alike. The
ratio of a round is to the steps of the vae in the same round. The script prints the medians over the rounds, with the
least and the largest values.
"""

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median

import hydra
import torch
from hydra.core.hydra_config import HydraConfig

from hfvae_runner.config import schema
from hfvae_runner.errors import RunnerError
from hfvae_runner.launch.composition import CONFIG_NAME, VERSION_BASE, config_folder, resolve
from hfvae_runner.runs import assembly
from hfvae_runner.training import step

REFERENCE = "vae"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--objectives", help="names, separated by commas; all by default")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=10, help="of each objective in a round")
    arguments = parser.parse_args()
    all_names = sorted(path.stem for path in (config_folder() / "objective").glob("*.yaml"))
    wanted = arguments.objectives.split(",") if arguments.objectives else all_names
    names = [REFERENCE, *(name for name in wanted if name != REFERENCE)]
    try:
        steppers = {name: stepper(name, arguments.overrides) for name in names}
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for name, take_steps in steppers.items():
            seconds[name].append(take_steps(arguments.steps) / arguments.steps)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {' '.join(arguments.overrides)}")
    print(f"{'objective':<24}{'ms a step':>12}{'ratio to vae':>15}   [least, most]")
    for name in names:
        ratios = [own / reference for own, reference in zip(seconds[name], seconds[REFERENCE], strict=True)]
        spread = f"[{min(ratios):.2f}, {max(ratios):.2f}]"
        print(f"{name:<24}{1e3 * median(seconds[name]):>12.2f}{median(ratios):>15.2f}   {spread}")
    return 0


def stepper(objective: str, overrides: list[str]) -> Callable[[int], float]:
    """Return a function that trains a number of further steps and returns the seconds; three steps are taken first."""
    with hydra.initialize_config_dir(str(config_folder()), version_base=VERSION_BASE):
        composed = hydra.compose(CONFIG_NAME, [f"objective={objective}", *overrides], return_hydra_config=True)
    HydraConfig.instance().set_config(composed)
    config = schema.parse(resolve(composed))
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    run = assembly.assemble(config)
    take_step = step.step_of(run.loss, assembly.optimizer_of(run))
    generator = torch.Generator(run.device).manual_seed(0)
    taken = 0

    def take_steps(count: int) -> float:
        nonlocal taken
        synchronise(run.device)
        start = time.perf_counter()
        for _ in range(count):
            batch = run.batches.at(taken)
            noise = run.model.latents.noise(len(batch.x), generator)
            own_noise = run.objective.noise(len(batch.x), generator)
            take_step(*batch, noise, own_noise, run.objective.knobs(taken, run.device))
            taken += 1
        synchronise(run.device)
        return time.perf_counter() - start

    take_steps(3)
    return take_steps


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(main())

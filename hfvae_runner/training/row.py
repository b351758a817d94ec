"""One row of history.csv, and the check that a step's values are finite."""

import math

from torch import Tensor

from hfvae_runner.errors import Diverged
from hfvae_runner.storage.run_folder import RunFolder
from hfvae_runner.training.checkpoint import State
from hfvae_runner.training.run import Run
from hfvae_runner.training.stack import Values


def history_row(run: Run, state: State, knobs: Tensor, values: Values) -> dict[str, float | int]:
    """Return one row of history.csv without ``examples_per_second``; losses and terms are in nats per example.

    Args:
        run: the run's objects.
        state: the state after the step.
        knobs: weights and targets of the step, from ``objective.knobs``.
        values: the values of the step.
    """
    latents = run.model.latents
    (loss,), (reconstruction,) = values["loss"], values["reconstruction"]
    row: dict[str, float | int] = {
        "step": state.step,
        "epoch": state.step / run.batches.steps_per_epoch,
        "lr": state.lr,
        "loss": loss,
    }
    # A quantised block has no KL, so there is no joint one.
    if "kl/joint" in values:
        (kl,) = values["kl/joint"]
        row |= {"elbo": reconstruction - kl, "kl": kl}
    row |= {name: value for name, (value, *_) in values.items() if name.startswith("term/")}
    for name in ("own_share", "shared"):
        if name in values:
            (row[name],) = values[name]
    for penalty, weight, target in zip(run.objective.penalties, *knobs.tolist(), strict=True):
        name = f"weight/{penalty.name}"
        row[name] = values[name][0] if penalty.controlled else weight
        if "target" in penalty.schedules:
            row[f"target/{penalty.name}"] = target
    blocks = [latents.blocks[g] for g in latents.scored]
    names = {
        "kl/block": [block.name for block in blocks],
        "kl/factor": [name for block in blocks for name in block.factor_names],
    }
    for key, named in names.items():
        if key in values:
            # A Concrete block and its one factor have the same name.
            row |= {f"kl/{name}": value for name, value in zip(named, values[key], strict=True)}
    return row


def check_finite(values: Values, state: State, folder: RunFolder) -> None:
    """Raise Diverged if a value is not finite, with the names of these values and the checkpoint to resume from."""
    broken = [name for name, value in values.items() if not all(map(math.isfinite, value))]
    if broken:
        # Without repetition: a penalty may have the name of a value of every run, and the KL is logged at every level.
        named = ", ".join(dict.fromkeys("kl" if name.startswith("kl/") else name.split("/")[-1] for name in broken))
        raise Diverged(
            f"training diverged: {named} not finite at step {state.step} with lr={state.lr:g}; {folder.last_good()}"
        )

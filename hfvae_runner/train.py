"""The training loop.

Shapes: B batch; F factors. A step is counted when it is done: after the first one ``state.step`` is 1.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

import torch
import yaml
from torch import Tensor
from tqdm import tqdm

from hfvae_runner.blocks import Noise
from hfvae_runner.datasets import Dataset, as_float
from hfvae_runner.errors import Diverged
from hfvae_runner.metrics import Metric
from hfvae_runner.model import VAE
from hfvae_runner.objective import Objective
from hfvae_runner.record import RunFolder
from hfvae_runner.runtime import step as steps
from hfvae_runner.runtime.batches import Batches
from hfvae_runner.runtime.signals import stop_requests
from hfvae_runner.schema import Config
from hfvae_runner.state import State
from hfvae_runner.supervision import Supervised
from hfvae_runner.trackers import Tracking
from hfvae_runner.vocabulary import levels_to

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """Everything a run is made of, put together from its config and checked.

    Attributes:
        metrics: those that the config chooses, by name.
        trackers: likewise.
        total_steps: the optimiser step at which it is finished.
        supervised_block: the discrete block that stands for the given labels; None without supervision.
    """

    config: Config
    dataset: Dataset
    model: VAE
    objective: Objective
    batches: Batches
    metrics: Mapping[str, Metric]
    trackers: Mapping[str, Tracking]
    device: torch.device
    total_steps: int
    supervised_block: str | None = None

    @property
    def n_data(self) -> int:
        """N, the training set's size."""
        return len(self.dataset.train)

    def loss(
        self, x: Tensor, labels: Tensor | None, noise: Noise, own_noise: Sequence[Sequence[Noise]], knobs: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective on one batch: a pure function of its arguments and the parameters.

        Args:
            x: [B, *], as stored.
            labels: [B], those that are given; None without supervision.
            noise: from ``latents.noise``.
            own_noise: from ``objective.noise``.
            knobs: from ``objective.knobs``.

        Returns:
            The loss, nats per example, and detached values: every term, ``kl`` at the levels that the prior has, and
            ``own_share`` where the objective asks for q(z).
        """
        supervised = None
        if labels is not None:
            assert self.supervised_block is not None
            supervised = Supervised(self.supervised_block, labels)
        evidence = self.model(
            as_float(x), noise, estimator=self.objective.estimator, n_data=self.n_data, supervised=supervised
        )
        loss, terms = self.objective(evidence, knobs, own_noise)
        values = {f"term/{name}": value for name, value in terms.items()}
        values["reconstruction"] = evidence.log_px.detach().mean()
        for level in levels_to(self.model.latents.finest):
            values[f"kl/{level}"] = evidence.kl(level).detach().mean(0)
        share = evidence.own_share()
        if share is not None:
            values["own_share"] = share.detach().mean()
        return loss, values


class Observer(Protocol):
    """What a run shows of itself while it trains."""

    def row(self, row: Mapping[str, float | int]) -> None:
        """Takes a row for history.csv."""

    def measure(self, step: int) -> None:
        """Measures, every ``metrics.every`` steps; may put the model into evaluation mode."""

    def take_back(self, step: int) -> None:
        """Forgets what came after the step."""


def train(run: Run, state: State, folder: RunFolder, observer: Observer) -> None:
    """Trains from ``state.step`` to ``run.total_steps``; rows go to the observer, checkpoints to the folder.

    Where a divergence is to be taken back (``on_divergence``), ``restart.train_on`` calls this again.

    Args:
        run: what is trained.
        state: where it stands.
        folder: where checkpoints go.
        observer: is shown the rows, and asked to measure.

    Raises:
        Diverged: the loss, a term or a parameter was not finite; no checkpoint holds what followed.
        SystemExit: after SIGTERM (143) or SIGINT (130), with a checkpoint written.
    """
    settings, checkpoints = run.config.train, run.config.checkpoints
    take_step = steps.eager(run.loss, state.optimizer)
    clock = _Clock(state)
    run.model.train()
    with stop_requests() as stop, _progress(run, state) as bar:
        while state.step < run.total_steps:
            x, labels = run.batches.at(state.step)
            noise = run.model.latents.noise(len(x), state.generator)
            own_noise = run.objective.noise(len(x), state.generator)
            knobs = run.objective.knobs(state.step, run.device)
            loss, values = take_step(x, labels, noise, own_noise, knobs)
            state.step += 1
            bar.update()

            # Row and checkpoint depend on the step alone, never on where a run began or will end.
            due = state.step == 1 or state.step % settings.log_every == 0
            # Asked once: a signal that comes while the row is written is the next step's, which then has a checkpoint.
            stopping = stop.signum is not None
            ends = stopping or state.step == run.total_steps
            save = state.step % checkpoints.every == 0 or ends
            # On a GPU, looking at the loss waits for it: there only when something is written anyway.
            if due or save or run.device.type == "cpu":
                _check_finite(loss, values, run, state, folder)
            if due:
                row = _history_row(run, state, knobs, loss, values)
                observer.row({**row, "examples_per_second": clock.rate(len(x))})
                bar.set_postfix_str(f"loss {row['loss']:.2f}, elbo {row['elbo']:.2f}")
            # Before the checkpoint: what comes after one would be lost to a run that is killed in between.
            if run.config.metrics.every is not None and state.step % run.config.metrics.every == 0:
                observer.measure(state.step)
                run.model.train()
            if save:
                clock.note()
                save_state(run, state, folder)
            if stopping:
                logger.info("stopped by a signal at step %d of %d; resume goes on from it", state.step, run.total_steps)
                raise SystemExit(stop.exit_code)


def _history_row(
    run: Run, state: State, knobs: Tensor, loss: Tensor, values: Mapping[str, Tensor]
) -> dict[str, float | int]:
    """One row of history.csv, but for the rate. Nats per example."""
    latents = run.model.latents
    kl = values["kl/joint"].item()
    reconstruction = values["reconstruction"].item()
    row: dict[str, float | int] = {
        "step": state.step,
        "epoch": state.step / run.batches.steps_per_epoch,
        "lr": state.lr,
        "loss": loss.item(),
        "elbo": reconstruction - kl,
        "kl": kl,
    }
    row |= {name: value.item() for name, value in values.items() if name.startswith("term/")}
    if "own_share" in values:
        row["own_share"] = values["own_share"].item()
    for penalty, weight, target in zip(run.objective.penalties, *knobs.cpu().unbind(), strict=True):
        row[f"weight/{penalty.name}"] = weight.item()
        if penalty.target is not None:
            row[f"target/{penalty.name}"] = target.item()
    names = {"kl/block": [block.name for block in latents.blocks], "kl/factor": latents.factor_names}
    for key, named in names.items():
        if key in values:
            # The name of a Concrete block is that of its one factor, too.
            row |= {f"kl/{name}": value.item() for name, value in zip(named, values[key], strict=True)}
    return row


def _check_finite(loss: Tensor, values: Mapping[str, Tensor], run: Run, state: State, folder: RunFolder) -> None:
    broken = [name for name, value in {**values, "loss": loss}.items() if not torch.isfinite(value).all()]
    if broken:
        # A penalty may be called what every run logs anyway, and the KL is logged at every level.
        named = ", ".join(dict.fromkeys("kl" if name.startswith("kl/") else name.split("/")[-1] for name in broken))
        raise Diverged(
            f"training diverged: {named} not finite at step {state.step} with lr={state.lr:g}; {folder.last_good()}"
        )


def save_state(run: Run, state: State, folder: RunFolder) -> None:
    """Writes a checkpoint, after all that was appended to the folder so far.

    Raises:
        Diverged: a parameter is not finite.
        StorageError: there is no room.
    """
    folder.flush()
    config = yaml.safe_dump(dict(run.config.resolved), sort_keys=False, allow_unicode=True)
    try:
        state.save(folder.checkpoints, run.config.checkpoints.keep, config)
    except Diverged as error:
        raise Diverged(f"training diverged: {error} with lr={state.lr:g}; {folder.last_good()}") from None


def _progress(run: Run, state: State) -> "tqdm[NoReturn]":
    return tqdm(
        total=run.total_steps,
        initial=state.step,
        unit="step",
        dynamic_ncols=True,
        # None: only where stderr is a terminal.
        disable=None if run.config.train.progress else True,
    )


class _Clock:
    """The wall time of a state's steps, and their rate since the last row."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._row = self._noted = time.perf_counter()
        self._row_step = state.step

    def rate(self, batch: int) -> float:
        """Examples per second since the last call."""
        now = time.perf_counter()
        rate = (self._state.step - self._row_step) * batch / max(now - self._row, 1e-9)
        self._row, self._row_step = now, self._state.step
        return rate

    def note(self) -> None:
        """Adds the time since the last call to the state."""
        now = time.perf_counter()
        self._state.seconds += now - self._noted
        self._noted = now

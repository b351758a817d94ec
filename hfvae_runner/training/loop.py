"""The training loop.

Shapes: B batch; F factors. A step is counted when it is done: after the first one ``training.checkpoint.step`` is 1.
"""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import NoReturn, Protocol

import torch
import yaml
from torch import Tensor
from tqdm import tqdm

from hfvae_runner.config.names import levels_to
from hfvae_runner.config.schema import Config
from hfvae_runner.data import Dataset, as_float
from hfvae_runner.data.supervision import Supervised
from hfvae_runner.errors import Diverged
from hfvae_runner.latents.blocks import Noise
from hfvae_runner.metrics import Metric
from hfvae_runner.models.vae import VAE
from hfvae_runner.objectives.objective import Objective
from hfvae_runner.storage.run_folder import RunFolder, speaking
from hfvae_runner.trackers import Tracking
from hfvae_runner.training import step as steps
from hfvae_runner.training.batches import Batches
from hfvae_runner.training.checkpoint import State
from hfvae_runner.training.graph import graphed
from hfvae_runner.training.signals import stop_requests
from hfvae_runner.training.stack import Part, Results, Stack, Together, Values, alone, rates, separate, several

logger = logging.getLogger(__name__)
CPU = torch.device("cpu")


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
            as_float(x),
            noise,
            estimator=self.objective.estimator,
            n_data=self.n_data,
            supervised=supervised,
            precision=self.config.precision,
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
    """What a run shows of itself."""

    def row(self, row: Mapping[str, float | int]) -> None:
        """Takes a row for history.csv."""

    def measure(self, step: int) -> None:
        """Measures, every ``metrics.every`` steps; may put the model into evaluation mode."""

    def take_back(self, step: int) -> None:
        """Forgets what came after the step."""

    def results(self, metrics: Mapping[str, object]) -> None:
        """Takes the content of metrics.json."""


@dataclass(eq=False)
class Member:
    """One of the runs that are trained together, or the only one.

    Attributes:
        state: where it stands.
        folder: where its checkpoints go.
        observer: is shown the rows, and asked to measure.
        error: what ended it before the others; None as long as nothing has.
    """

    run: Run
    state: State
    folder: RunFolder
    observer: Observer
    error: Exception | None = None

    @property
    def part(self) -> Part:
        """What it brings to a stack."""
        return part_of(self.run, self.state)

    @contextmanager
    def by_itself(self) -> Iterator[None]:
        """What the block logs is of this member, and what goes wrong there ends this one and no other."""
        with speaking(self.folder.path):
            try:
                yield
            except Exception as error:
                self.error = error


def train(members: Sequence[Member]) -> None:
    """Trains from the step at which all stand to ``total_steps``; rows go to the observers, checkpoints to the folders.

    A member that diverges, or cannot be written, ends there with its ``error``, and the others go on. Where a
    divergence is to be taken back (``on_divergence``), ``training.restart.train_on`` calls this again.

    Args:
        members: one, or several that a ``Stack`` can hold.

    Raises:
        SystemExit: after SIGTERM (143) or SIGINT (130), with a checkpoint of each written.
    """
    # Neighbours with the same learning rates share their updates.
    team = sorted(members, key=lambda member: rates(member.state.optimizer))
    first = team[0].run
    take_step = steps_of([(member.run, member.state) for member in team])
    clock = _Clock(team)
    for member in team:
        member.run.model.train()
    with stop_requests() as stop, _progress(team) as bar:
        while team and (step := team[0].state.step) < first.total_steps:
            inputs = [inputs_of(member.run, member.state) for member in team]
            results = Results(*take_step(inputs))
            step += 1
            for member in team:
                member.state.step = step
            bar.update()

            # Asked once: a signal that comes while the row is written is the next step's, which then has a checkpoint.
            stopping = stop.signum is not None
            due = _Due.after(step, first, stopping=stopping)
            # On a GPU, looking at the loss waits for it: there only when something is written anyway.
            if due.anything or (first.device.type == "cpu" and not results.finite()):
                of_each = results.of_each()
                for member, (*_, knobs), values in zip(team, inputs, of_each, strict=True):
                    with member.by_itself():
                        _conclude(member, due, values, knobs, clock)
                if due.row:
                    bar.set_postfix_str(_shown(of_each))
                if any(member.error for member in team):
                    _part_with_the_ended(team)
                    if not team:
                        return
                    take_step = steps_of([(member.run, member.state) for member in team])
                if stopping:
                    raise SystemExit(stop.exit_code)


def inputs_of(run: Run, state: State) -> tuple[Tensor, Tensor | None, Noise, Sequence[Sequence[Noise]], Tensor]:
    """What ``Run.loss`` takes at the next step; its knobs lie on the CPU."""
    x, labels = run.batches.at(state.step)
    noise = run.model.latents.noise(len(x), state.generator)
    own_noise = run.objective.noise(len(x), state.generator)
    return x, labels, noise, own_noise, run.objective.knobs(state.step, CPU)


def part_of(run: Run, state: State) -> Part:
    """What a run brings to a stack."""
    return Part((run.model, run.objective), state.optimizer)


def steps_of(team: Sequence[tuple[Run, State]]) -> Together:
    """The step of a run, or of several stacked, as ``precision`` and ``runtime`` say.

    It knows the learning rates and where everything lies in memory, and is made anew where one of these changes. What
    it gives holds until its next call.
    """
    run, state = team[0]
    runtime, precision = run.config.runtime, run.config.precision
    if len(team) > 1:
        step, shaped = Stack([part_of(*each) for each in team], run.loss, precision=precision).step, several
    else:
        step, shaped = steps.step_of(run.loss, state.optimizer, precision=precision, compiled=runtime.compile), alone
    return shaped(graphed(step, run.device) if runtime.graph else step, run.device)


def _part_with_the_ended(team: list[Member]) -> None:
    """Takes those with an error out of the team."""
    left = [member for member in team if member.error is None]
    for member in team:
        if len(team) > 1 and (member not in left or len(left) == 1):
            separate(member.part)
    team[:] = left


@dataclass(frozen=True)
class _Due:
    """What follows a step. Row and checkpoint depend on the step alone, never on where a run began or will end."""

    row: bool
    measure: bool
    save: bool
    stop: bool

    @classmethod
    def after(cls, step: int, run: Run, *, stopping: bool) -> "_Due":
        config, ends = run.config, stopping or step == run.total_steps
        return cls(
            row=step == 1 or step % config.train.log_every == 0,
            measure=config.metrics.every is not None and step % config.metrics.every == 0,
            save=step % config.checkpoints.every == 0 or ends,
            stop=stopping,
        )

    @property
    def anything(self) -> bool:
        return self.row or self.measure or self.save


def _conclude(member: Member, due: _Due, values: Values, knobs: Tensor, clock: "_Clock") -> None:
    """Looks at what the step gave a member, and writes what is due."""
    run, state = member.run, member.state
    _check_finite(values, state, member.folder)
    if due.row:
        row = _history_row(run, state, knobs, values)
        member.observer.row({**row, "examples_per_second": clock.rate(run.config.batch_size)})
    # Before the checkpoint: what comes after one would be lost to a run that is killed in between.
    if due.measure:
        member.observer.measure(state.step)
        run.model.train()
    if due.save:
        clock.note()
        save_state(run, state, member.folder)
    if due.stop:
        logger.info("stopped by a signal at step %d of %d; resume goes on from it", state.step, run.total_steps)


def _history_row(run: Run, state: State, knobs: Tensor, values: Values) -> dict[str, float | int]:
    """One row of history.csv, but for the rate. Nats per example."""
    latents = run.model.latents
    (loss,), (kl,), (reconstruction,) = values["loss"], values["kl/joint"], values["reconstruction"]
    row: dict[str, float | int] = {
        "step": state.step,
        "epoch": state.step / run.batches.steps_per_epoch,
        "lr": state.lr,
        "loss": loss,
        "elbo": reconstruction - kl,
        "kl": kl,
    }
    row |= {name: value for name, (value, *_) in values.items() if name.startswith("term/")}
    if "own_share" in values:
        (row["own_share"],) = values["own_share"]
    for penalty, weight, target in zip(run.objective.penalties, *knobs.tolist(), strict=True):
        row[f"weight/{penalty.name}"] = weight
        if penalty.target is not None:
            row[f"target/{penalty.name}"] = target
    names = {"kl/block": [block.name for block in latents.blocks], "kl/factor": latents.factor_names}
    for key, named in names.items():
        if key in values:
            # The name of a Concrete block is that of its one factor, too.
            row |= {f"kl/{name}": value for name, value in zip(named, values[key], strict=True)}
    return row


def _check_finite(values: Values, state: State, folder: RunFolder) -> None:
    broken = [name for name, value in values.items() if not all(map(math.isfinite, value))]
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


def _progress(team: Sequence[Member]) -> "tqdm[NoReturn]":
    first = team[0]
    return tqdm(
        total=first.run.total_steps,
        initial=first.state.step,
        desc=f"{len(team)} runs" if len(team) > 1 else None,
        unit="step",
        dynamic_ncols=True,
        # None: only where stderr is a terminal.
        disable=None if first.run.config.train.progress else True,
    )


def _shown(values: Sequence[Values]) -> str:
    """Loss and ELBO, averaged over the members."""
    loss = fmean(each["loss"][0] for each in values)
    elbo = fmean(each["reconstruction"][0] - each["kl/joint"][0] for each in values)
    return f"loss {loss:.2f}, elbo {elbo:.2f}"


class _Clock:
    """The wall time of a team's steps, which is each member's own, and their rate since the last row."""

    def __init__(self, team: Sequence[Member]) -> None:
        self._team = team
        self._row = self._noted = time.perf_counter()
        self._row_step = team[0].state.step
        self._rate = 0.0

    def rate(self, batch: int) -> float:
        """Examples per second of one member, since the last row."""
        now, step = time.perf_counter(), self._team[0].state.step
        # Once a row: its members are asked about one after the other.
        if step != self._row_step:
            self._rate = (step - self._row_step) * batch / max(now - self._row, 1e-9)
            self._row, self._row_step = now, step
        return self._rate

    def note(self) -> None:
        """Adds the time since the last call to the states."""
        now = time.perf_counter()
        for member in self._team:
            member.state.seconds += now - self._noted
        self._noted = now

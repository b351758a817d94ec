"""A run's objects, its loss, and the step function for its config.

Shapes: B batch; F factors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hfvae_runner.config.names import Level, levels_to
from hfvae_runner.config.schema import Config
from hfvae_runner.data import Dataset, as_float
from hfvae_runner.data.supervision import Supervised
from hfvae_runner.latents.averaging import Averaging
from hfvae_runner.latents.blocks import Noise
from hfvae_runner.latents.known_factors import Assignment
from hfvae_runner.latents.latents import Latents
from hfvae_runner.metrics import Metric
from hfvae_runner.models.vae import VAE
from hfvae_runner.objectives.objective import Objective
from hfvae_runner.trackers import Tracking
from hfvae_runner.training import step as steps
from hfvae_runner.training.batches import Batches
from hfvae_runner.training.checkpoint import State
from hfvae_runner.training.graph import graphed
from hfvae_runner.training.stack import GroupStep, Stack, Trainable, single_step, stacked_step

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Run:
    """The objects of a run, assembled from its config and checked.

    Attributes:
        metrics: the metrics that the config chooses, by name.
        trackers: the trackers that the config chooses, by name.
        total_steps: the optimiser step at which the training ends.
        supervised_block: the discrete block that represents the given labels; None without supervision.
        averaging: averages the posteriors of pairs; None if the objective asks for none.
        assignments: the latents that represent the given ground-truth factors, in the order of their values; empty if
            none are given.
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
    averaging: Averaging | None = None
    assignments: tuple[Assignment, ...] = ()

    @property
    def n_data(self) -> int:
        """N, the number of training examples."""
        return len(self.dataset.train)

    def loss(
        self,
        x: Tensor,
        labels: Tensor | None,
        labelled: Sequence[Tensor] | None,
        noise: Noise,
        own_noise: Sequence[Sequence[Noise]],
        knobs: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the objective on one batch, as a pure function of the arguments, the parameters and the buffers.

        Of the buffers, batch statistics and the states of controllers are updated.

        Args:
            x: examples [B, *], as stored.
            labels: the given labels, [B]; None without supervision.
            labelled: examples [m, *] with given factors, as stored, and their values [m, K]; None if there are none.
            noise: from ``latents.noise``.
            own_noise: from ``objective.noise``.
            knobs: from ``objective.knobs``.

        Returns:
            The loss, in nats per example, and detached values: every term and controlled weight, the reconstruction,
            ``kl`` at the levels of ``logged_kl``, ``own_share`` if the objective uses q(z), and ``shared``, the mean
            number of latents that a pair shares, if posteriors are averaged.
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
            averaging=self.averaging,
            labelled=None if labelled is None else (as_float(labelled[0]), labelled[1], self.assignments),
            draws=self.objective.draws(own_noise),
            precision=self.config.precision,
        )
        loss, values = self.objective(evidence, knobs, own_noise)
        values["reconstruction"] = evidence.log_px.detach().mean()
        for level, blocks in logged_kl(self.model.latents).items():
            values[f"kl/{level}"] = evidence.kl(level, blocks).detach().mean(0)
        share = evidence.own_share()
        if share is not None:
            values["own_share"] = share.detach().mean()
        if evidence.shared is not None:
            values["shared"] = evidence.shared.sum(1).float().mean()
        return loss, values


def logged_kl(latents: Latents) -> dict[Level, list[str]]:
    """Return the blocks whose KL is logged, by level: those with a density, at the levels of the prior's marginals.

    The joint KL is that of all blocks, so it is not there if one of them is quantised.
    """
    names = [latents.blocks[g].name for g in latents.scored]
    whole = len(names) == len(latents.blocks)
    return {level: names for level in levels_to(latents.finest) if names and (whole or level != "joint")}


def inputs_of(run: Run, state: State) -> tuple[Any, ...]:
    """Return the arguments of ``Run.loss`` at the next step; the knobs are on the CPU."""
    batch = run.batches.at(state.step)
    noise = run.model.latents.noise(len(batch.x), state.generator)
    own_noise = run.objective.noise(len(batch.x), state.generator)
    return *batch, noise, own_noise, run.objective.knobs(state.step, CPU)


def trainable_of(run: Run, state: State) -> Trainable:
    """Return a run's modules and optimiser, for a stack."""
    return Trainable((run.model, run.objective), state.optimizer)


def steps_of(team: Sequence[tuple[Run, State]]) -> GroupStep:
    """Return the step function of a run, or of a stack of runs, for the config's ``precision`` and ``runtime``.

    Its learning rates and memory addresses are fixed; build a new one if one of them changes. Its results are valid
    until its next call.
    """
    run, state = team[0]
    runtime, precision = run.config.runtime, run.config.precision
    if len(team) > 1:
        step, shaped = Stack([trainable_of(*each) for each in team], run.loss, precision=precision).step, stacked_step
    else:
        step, shaped = (
            steps.step_of(run.loss, state.optimizer, precision=precision, compiled=runtime.compile),
            single_step,
        )
    return shaped(graphed(step, run.device) if runtime.graph else step, run.device)

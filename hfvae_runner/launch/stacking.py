"""The launcher `stacked`: jobs that differ only in values that can be stacked are trained as one program.

These are the seed, the learning rate, and numbers, schedules and controllers that are weights or targets; data,
networks, steps and everything else must be the same. Every other job runs alone, with a line that says why.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, run_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hfvae_runner.config.schedules import always_zero
from hfvae_runner.config.schema import Config
from hfvae_runner.errors import RunnerError
from hfvae_runner.launch import jobs
from hfvae_runner.launch.jobs import JobFailed
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.run_log import quietly

_DIR, _SUBDIR = "hydra.sweep.dir", "hydra.sweep.subdir"


@dataclass(frozen=True)
class Job:
    """One job of a launch.

    Attributes:
        config: the composed config, with Hydra's own node.
        prepared: the config to train; None if there is nothing to train, or if the job is refused, in which case
            running it alone reports the error.
    """

    number: int
    config: DictConfig
    folder: Path
    prepared: Config | None


class Launch:
    """One launch of jobs, in stacks as large as possible.

    Args:
        context: Hydra's context.
        task: the function that runs one job alone.
        master: the config that the jobs' overrides are applied to.
        size: the largest number of jobs in one program; None for as many as fit into the free memory.
    """

    def __init__(self, context: HydraContext, task: TaskFunction, master: DictConfig, size: int | None) -> None:
        self._context, self._task, self._master, self._size = context, task, master, size

    def run(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run all jobs and return their results in order.

        Args:
            overrides: the overrides of each job.
            first: the number of the first job.
        """
        returned: dict[int, JobReturn] = {}
        try:
            composed = [self._compose(list(own), number) for number, own in enumerate(overrides, first)]
            for kind in kinds(composed):
                returned |= {job.number: each for job, each in self._run_kind(kind)}
        finally:
            HydraConfig.instance().set_config(self._master)
        return [returned[job.number] for job in composed]

    def _compose(self, overrides: list[str], number: int) -> Job:
        config = self._context.config_loader.load_sweep_config(self._master, overrides)
        with open_dict(config):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
        HydraConfig.instance().set_config(config)
        folder = Path(os.path.abspath(os.path.join(*(str(OmegaConf.select(config, key)) for key in (_DIR, _SUBDIR)))))
        try:
            standing = jobs.prepare(config, folder)
        except RunnerError:
            standing = None
        return Job(number, config, folder, None if standing is None or standing.measures_only else standing.config)

    def _run_kind(self, kind: Sequence[Job]) -> Iterator[tuple[Job, JobReturn]]:
        if kind[0].prepared is None:
            yield from ((job, self._run_alone(job)) for job in kind)
            return
        obstacle, most = self._outlook(kind)
        for group in shared_out(kind, most):
            if len(group) > 1:
                yield from self._run_together(group)
                continue
            (job,) = group
            jobs.tell(f"job {job.number} runs alone: {obstacle or f'{most} of its kind at once are the most'}")
            yield job, self._run_alone(job)

    def _outlook(self, kind: Sequence[Job]) -> tuple[str | None, int]:
        """Return the reason why such jobs cannot be stacked, or None, and how many can be."""
        config = kind[0].prepared
        assert config is not None
        hydra = kind[0].config.hydra.job
        if len(kind) == 1:
            return "no other job to be done differs from it in seed, lr, weights and targets only", 1
        if hydra.chdir or hydra.env_set:
            return "hydra.job.chdir and hydra.job.env_set are for a process with one job at a time", 1
        # Imports torch, so only if there is something to run.
        from hfvae_runner.runs.group import stack_capacity

        found = stack_capacity(config)
        most = 1 if found.obstacle is not None else found.most
        return found.obstacle, most if self._size is None else min(most, self._size)

    def _run_alone(self, job: Job) -> JobReturn:
        return self._returned(job, self._task)

    def _run_together(self, group: Sequence[Job]) -> Iterator[tuple[Job, JobReturn]]:
        from hfvae_runner.runs.group import run_stacked

        outcomes: dict[int, JobFailed | None] = {}

        def ended(index: int, error: Exception | None) -> None:
            job = group[index]
            try:
                with jobs.of_a_sweep(job.config, job.folder):
                    if error is not None:
                        raise error
                outcomes[index] = None
            except JobFailed as failed:
                outcomes[index] = failed
            jobs.tell_of_its_end(job.number, job.folder)

        jobs.tell(f"jobs {', '.join(str(job.number) for job in group)} as one program")
        try:
            with quietly():
                run_stacked([(job.prepared, job.folder) for job in group if job.prepared is not None], ended)
        except Exception as error:
            for index in set(range(len(group))) - outcomes.keys():
                ended(index, error)
        for index, job in enumerate(group):
            yield job, self._concluded(job, outcomes[index])

    def _concluded(self, job: Job, failed: JobFailed | None) -> JobReturn:
        """Return the result of an ended job as Hydra's own ``run_job`` makes it."""

        def task(config: DictConfig) -> float | None:
            if failed is not None:
                raise failed
            with jobs.of_a_sweep(config, job.folder):
                return jobs.optimized(config, job.folder)

        return self._returned(job, task)

    def _returned(self, job: Job, task: TaskFunction) -> JobReturn:
        return run_job(
            hydra_context=self._context,
            task_function=task,
            config=job.config,
            job_dir_key=_DIR,
            job_subdir_key=_SUBDIR,
        )


def kinds(composed: Sequence[Job]) -> list[list[Job]]:
    """Group the jobs that can be stacked with one another, in the order of each group's first job."""
    found: dict[str, list[Job]] = {}
    for job in composed:
        key = f"job {job.number}" if job.prepared is None else kind_of(job.prepared, job.folder)
        found.setdefault(key, []).append(job)
    return list(found.values())


def kind_of(config: Config, folder: Path) -> str:
    """Return a key that is equal for jobs that can be stacked.

    It contains the config without the values that may differ, and the step of the newest checkpoint.
    """
    shared = {key: value for key, value in config.resolved.items() if key not in ("seed", "lr", *config.knobs)}
    terms = [
        [name, spec.term, dict(spec.options), spec.cap, spec.target is None, *spec.structure]
        for name, spec in config.objective.terms.items()
    ]
    shared["objective"] = [config.objective.estimator, config.objective.discrete_density, terms]
    own = config.supervision
    zero = [own.weight == 0, always_zero(own.factor_weight)]
    shared["supervision"] = [own.fraction, own.factor_examples, own.factors, zero]
    step = next(iter(run_folder.step_files(folder / "checkpoints").values()), 0)
    return json.dumps([shared, step], sort_keys=True, default=list)


def shared_out(kind: Sequence[Job], most: int) -> list[Sequence[Job]]:
    """Split the jobs into as few groups as possible of at most ``most`` jobs, with sizes as equal as possible."""
    number = -(-len(kind) // most)
    ends = [len(kind) * place // number for place in range(number + 1)]
    return [kind[start:end] for start, end in pairwise(ends)]

"""``hfvae_runner.train`` and ``hfvae_runner.sweep``: the command line's runs, from a program or a notebook."""

from collections.abc import Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException

from hfvae_runner.api.loading import Run, load
from hfvae_runner.config import schema
from hfvae_runner.config.stored import modules
from hfvae_runner.errors import ConfigError, RunnerError
from hfvae_runner.launch import jobs, main, resume
from hfvae_runner.launch.composition import composed, explain, parse_overrides
from hfvae_runner.launch.resume import Job


def train(overrides: Sequence[str] = (), *, device: str = "auto") -> Run:
    """Train and evaluate one run, as ``python -m hfvae_runner`` does, and load it.

    The run folder is the command's own. A run that stands there is refused unless ``resume=auto`` is among the
    overrides. Ctrl-C writes a checkpoint first; ``resume=auto`` then resumes the run.

    Args:
        overrides: as on the command line, such as ``["objective=hfvae", "beta=12"]``.
        device: that the trained run is loaded to.

    Raises:
        RunnerError: the config, the data or the checkpoint is not usable, or training diverged.
        KeyboardInterrupt: after Ctrl-C.
    """
    job, folder = _job(overrides)
    if job is not None:
        jobs.check(job.config)
    try:
        jobs.run(job, folder)
    except SystemExit as end:
        raise KeyboardInterrupt(f"{folder}: resume=auto resumes the run") from end
    return load(folder, device, _trusted(overrides))


def sweep(overrides: Sequence[str], *, device: str = "auto") -> list[Run]:
    """Train every combination of comma-separated values, as ``python -m hfvae_runner -m`` does, and load the runs.

    Args:
        overrides: as on the command line, such as ``["beta=1,4,12", "seed=0,1", "resume=auto"]``.
        device: that the trained runs are loaded to.

    Returns:
        The runs in grid order.

    Raises:
        RunnerError: a config is not usable, or a job failed.
        KeyboardInterrupt: after Ctrl-C.
    """
    folders = _job_folders(overrides)
    code = main(["-m", *overrides])
    if code == 128 + 2:
        raise KeyboardInterrupt("resume=auto resumes the sweep")
    if code:
        raise RunnerError(f"the sweep ended with exit code {code}; status.json in each job's folder says why")
    trust = _trusted(overrides)
    return [load(folder, device, trust) for folder in folders]


def _job(overrides: Sequence[str]) -> tuple[Job | None, Path]:
    """The work that is asked for, and its run folder."""
    parsed = parse_overrides(overrides)
    if swept := [each.input_line for each in parsed if each.is_sweep_override()]:
        raise ConfigError(f"{swept[0]}: expected single values; hfvae_runner.sweep takes several")
    folder = resume.folder_to_resume(parsed)
    if folder is not None:
        return resume.stored_job(folder, parsed)
    config = composed(overrides)
    place = Path(HydraConfig.get().run.dir)
    return resume.standing_job(schema.parse(config), place), place


def _trusted(overrides: Sequence[str]) -> tuple[str, ...]:
    """The modules that the overrides trust."""
    given = [each for each in parse_overrides(overrides) if each.key_or_group == "trust"]
    return modules(given[-1].value()) if given else ()


def _job_folders(overrides: Sequence[str]) -> list[Path]:
    """The run folder of each job of a sweep, in grid order."""
    try:
        grid = BasicSweeper.split_arguments(parse_overrides(overrides), None)[0]
    except HydraException as error:
        raise ConfigError(explain(error, overrides)) from error
    folders = []
    for own in grid:
        composed(own)
        settings = HydraConfig.get().sweep
        folders.append(Path(settings.dir) / settings.subdir)
    return folders

"""Measure finished runs without training them: python -m hfvae_runner.evaluate RUN … metrics=NAME.

Adds the results to each run's metrics.json. They equal the values that the run would have measured at its end.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override

from hfvae_runner.config import schema
from hfvae_runner.config.names import Correlation
from hfvae_runner.config.schema import Config
from hfvae_runner.config.validation import checked
from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, RunnerError
from hfvae_runner.launch import jobs, resume
from hfvae_runner.launch.composition import parse_overrides
from hfvae_runner.report.runs import find, is_run
from hfvae_runner.report.settings import as_text, settings_of
from hfvae_runner.storage import run_folder

# Keys that do not change the results.
_MAY_CHANGE = ("device", "threads", "data_root", "dataset.root", "dataset.download", "train.progress", "trust", "debug")


_UDR = "udr="


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the named runs, and those below the named folders; return 0, or the code of the first that fails."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m hfvae_runner.evaluate",
        description=description,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "arguments",
        nargs="+",
        metavar="FOLDER or KEY=VALUE",
        help="folders of runs or with runs below them; metrics=NAME or metrics=[NAME,NAME], "
        "metrics.NAME.OPTION=VALUE; udr=spearman or "
        f"udr=lasso (how far the latents of the seeds of a setting agree); {', '.join(_MAY_CHANGE)}",
    )
    given = parser.parse_args(argv).arguments
    return exit_code_of(lambda: _run([each for each in given if _is_folder(each)], given))


def _is_folder(argument: str) -> bool:
    return "=" not in argument or Path(argument).is_dir()


def _run(folders: Sequence[str], given: Sequence[str]) -> int:
    debug = "debug=true" in given
    try:
        udr = _udr(given)
        texts = [each for each in given if each not in folders and not each.startswith(_UDR)]
        if not folders:
            raise ConfigError(f"{' '.join(given)}: expected at least one run folder, and metrics=NAME")
        overrides = parse_overrides(texts)
        # Check all runs before measuring the first.
        runs = {run.resolve(): run for folder in folders for run in _runs(Path(folder))}
        configs = {run: _config(run, overrides) for run in runs.values()}
        groups = _seeds(configs) if udr else []
        if udr is None or any(resume.is_about_metrics(override) for override in overrides):
            for folder, config in configs.items():
                # Late, since torch takes seconds to import and the checks of the arguments do not need it.
                from hfvae_runner.runs.single import measure_again

                measure_again(config, folder)
        for group in groups:
            from hfvae_runner.runs.ranking import rank

            assert udr is not None
            for folder, found in rank({folder: configs[folder] for folder in group}, udr).items():
                jobs.tell(f"{folder}: udr {found['udr']:.3f}, mcc_between_seeds {found['mcc_between_seeds']:.3f}")
    except RunnerError as error:
        return jobs.report(error, debug)
    return 0


def _runs(folder: Path) -> list[Path]:
    """Return the folder if it is a run's or if there is no run below it; else the finished runs below it."""
    if not folder.is_dir() or is_run(folder):
        return [folder]
    below = find([folder])
    finished = [each for each in below if run_folder.inspect(each) == "finished"]
    if finished and len(finished) < len(below):
        jobs.tell(f"{folder}: {len(below) - len(finished)} of {len(below)} runs have not finished and are left out")
    return finished or [folder]


def _udr(given: Sequence[str]) -> Correlation | None:
    """Return what ``udr=`` names; None if it is not given."""
    named = [each.removeprefix(_UDR) for each in given if each.startswith(_UDR)]
    if not named:
        return None
    correlation: Correlation = checked(Correlation, named[-1], "udr")
    return correlation


def _seeds(configs: Mapping[Path, Config]) -> list[list[Path]]:
    """Return the folders of runs that differ only in the seed, a group each.

    Raises:
        ConfigError: a run is the only one of its setting.
    """
    groups: dict[str, list[Path]] = {}
    for folder, config in configs.items():
        settings = {key: as_text(value) for key, value in settings_of(config.resolved).items()}
        groups.setdefault(repr(sorted(settings.items())), []).append(folder)
    for group in groups.values():
        if len(group) == 1:
            raise ConfigError(f"udr: {group[0]} is the only run of its setting; expected several seeds of each setting")
    return list(groups.values())


def _config(folder: Path, overrides: Sequence[Override]) -> Config:
    """Return the run's own config, with the overrides applied.

    Raises:
        CheckpointError: the folder's config cannot be read.
        ConfigError: the folder holds no finished run, or an override is unknown or would make it another run.
    """
    if run_folder.inspect(folder) != "finished":
        raise ConfigError(f"{folder} holds no finished run; expected the folder of one")
    stored = resume.stored_config(folder, overrides)
    for override in overrides:
        if not resume.is_about_metrics(override):
            if override.key_or_group not in _MAY_CHANGE:
                raise ConfigError(
                    f"{override.input_line} would make another run of {folder}; expected metrics=NAME, "
                    f"metrics.NAME.OPTION=VALUE, or one of {', '.join(_MAY_CHANGE)}"
                )
            resume.set_value(stored, override)
    resume.set_metrics(stored, overrides)
    return schema.parse(stored)


if __name__ == "__main__":
    sys.exit(main())

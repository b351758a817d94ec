"""The command: its arguments, and its exit code."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override

from hfvae_runner import __version__
from hfvae_runner.config.schema import ALL_GROUPS
from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, RunnerError
from hfvae_runner.launch import completion, help, jobs, lease, plugins, resume
from hfvae_runner.launch.composition import CONFIG_NAME, VERSION_BASE, config_folder, explain, parse_overrides
from hfvae_runner.launch.jobs import JobFailed, Stopped
from hfvae_runner.training.signals import exit_on_sigterm


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code.

    In a single run, an exception that is not a RunnerError is a bug and is raised.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with exit_on_sigterm():
        return exit_code_of(lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    debug = any(argument.lstrip("+").lower() == "debug=true" for argument in arguments)
    try:
        return _dispatch(arguments)
    except RunnerError as error:
        return jobs.report(error, debug)
    except JobFailed as failed:
        return failed.exit_code
    except Stopped as stopped:
        if isinstance(stopped.__cause__, RunnerError):
            return jobs.report(stopped.__cause__, debug)
        assert stopped.__cause__ is not None
        raise stopped.__cause__ from None
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def _dispatch(arguments: list[str]) -> int:
    if "--version" in arguments:  # before Hydra's parser, which would print Hydra's version
        print("\n".join(versions()))
        return 0
    if "--completion" in arguments:
        print(completion.script(), end="")
        return 0
    if any(argument in ("--help", "-h") for argument in arguments):
        print(help.text([argument for argument in arguments if not argument.startswith("-")]))
        return 0
    flags, texts = _split(arguments)
    overrides = parse_overrides(texts)
    prescribed = plugins.prescribed(overrides)
    folder = resume.folder_to_resume(overrides)
    if folder is None:
        given = _left_to_the_jobs(overrides) if "--multirun" in flags else texts
        _call_hydra(flags, [*prescribed, *given])
        return 0
    if flags:
        raise ConfigError(f"resume={folder} with {' '.join(flags)}: expected a single run, or resume=auto")
    job, folder = resume.stored_job(folder, overrides)
    if job is not None:
        jobs.check(job.config)
    jobs.run(job, folder)
    return 0


def versions() -> list[str]:
    """Return the versions of this program, torch and Hydra, one per line, without importing torch or Hydra."""
    others = (f"{package} {metadata.version(package)}" for package in ("torch", "hydra-core"))
    return [f"hfvae_runner {__version__}", *others]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; expected KEY=VALUE or a flag of --hydra-help")


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split the arguments into flags and overrides, since Hydra loses overrides on one side of a flag."""
    given = vars(_Parser(parents=[get_args_parser()], add_help=False).parse_intermixed_args(arguments))
    overrides: list[str] = given.pop("overrides")
    for name in ("config_path", "config_name", "experimental_rerun"):
        if given[name] is not None:
            flag = "--" + name.replace("_", "-")
            raise ConfigError(f"{flag} would go around the checks; expected --config-dir, or resume=FOLDER")
    flags = []
    for name, value in given.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            flags.append(flag)
        elif value:
            flags.append(f"{flag}={value}")
    return flags, overrides


def _left_to_the_jobs(overrides: list[Override]) -> list[str]:
    """Return the overrides of a sweep, with each plain value as a sweep over one value if a group is swept.

    Hydra would check plain values against the default choices first, and refuse `objective=kumar_table1,zhao_table1
    lambda=3` because the default objective has no lambda.
    """
    over_groups = any(override.is_sweep_override() and override.key_or_group in ALL_GROUPS for override in overrides)
    return [
        f"{override.get_key_element()}=choice({override.get_value_element_as_str()})"
        if over_groups and not (override.is_sweep_override() or override.is_delete() or override.is_hydra_override())
        else str(override.input_line)
        for override in overrides
    ]


def _call_hydra(flags: list[str], overrides: list[str]) -> None:
    run = hydra.main(version_base=VERSION_BASE, config_path=str(config_folder()), config_name=CONFIG_NAME)(jobs.task)
    with _process(["hfvae_runner", *flags, *overrides]), lease.leading() as leader:
        try:
            run()
        except (JobFailed, BrokenPipeError):
            raise
        except Exception as error:
            if plugins.is_of_a_launcher(error):
                raise jobs.ProcessLost(f"{explain(error, [])}; resume=auto resumes the sweep") from error
            # Our own errors arrive as JobFailed or Stopped: this one is Hydra's, and concerns the command line.
            refusal = ConfigError(explain(error, overrides))
            if leader.failure is None:
                raise refusal from error
            jobs.tell(f"error: {refusal}")  # of a search without a result
        if leader.failure is not None:
            raise JobFailed(leader.failure)


@contextmanager
def _process(argv: list[str]) -> Iterator[None]:
    """Set the arguments that Hydra reads, and the variable that makes it raise exceptions instead of printing them."""
    before, switch = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = argv, "1"
    try:
        yield
    finally:
        sys.argv = before
        if switch is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = switch

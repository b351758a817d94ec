"""``python -m hfvae_runner.evaluate RUN_FOLDER … metrics=…``: measures finished runs without training them.

What is measured is added to the run's metrics.json, with the numbers that the run itself would have had at its end.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.types import ChoiceSweep, Override

from hfvae_runner import record, schema
from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, RunnerError
from hfvae_runner.launch import jobs, resume
from hfvae_runner.launch.composition import composed, parse_overrides
from hfvae_runner.schema import Config

_GROUP = "metrics"
# What changes no number.
_MAY_CHANGE = ("device", "threads", "data_root", "dataset.root", "dataset.download", "train.progress", "trust", "debug")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures every named run; the exit code of the first that cannot be."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="hfvae_runner.evaluate",
        description=description,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "arguments",
        nargs="+",
        metavar="FOLDER or KEY=VALUE",
        help=f"run folders; metrics=NAME or metrics=[NAME,NAME], metrics.NAME.OPTION=VALUE; {', '.join(_MAY_CHANGE)}",
    )
    given = parser.parse_args(argv).arguments
    return exit_code_of(lambda: _run([each for each in given if _is_folder(each)], given))


def _is_folder(argument: str) -> bool:
    return "=" not in argument or Path(argument).is_dir()


def _run(folders: Sequence[str], given: Sequence[str]) -> int:
    texts = [each for each in given if each not in folders]
    debug = "debug=true" in texts
    try:
        if not folders:
            raise ConfigError(f"{' '.join(given)}: expected at least one run folder, and metrics=NAME")
        overrides = parse_overrides(texts)
        # Before the first run is measured, all are looked at.
        configs = {Path(folder): _config(Path(folder), overrides) for folder in folders}
        for folder, config in configs.items():
            jobs.tell(f"{folder}: {', '.join(config.metrics.chosen)}")
            with record.locked(folder):
                _measure(folder, config)
    except RunnerError as error:
        return jobs.report(error, debug)
    return 0


def _config(folder: Path, overrides: Sequence[Override]) -> Config:
    """The run's own config, with what is asked for in place of its metrics.

    Raises:
        CheckpointError: no finished run stands there.
        ConfigError: an override is unknown, or would make another run of it.
    """
    if record.inspect(folder) != "finished":
        raise ConfigError(f"{folder} holds no finished run; expected the folder of one")
    stored = resume.stored_config(folder, overrides)
    about_metrics = [each for each in overrides if each.key_or_group.partition(".")[0] == _GROUP]
    for override in overrides:
        if override not in about_metrics:
            if override.key_or_group not in _MAY_CHANGE:
                raise ConfigError(
                    f"{override.input_line} would make another run of {folder}; expected metrics=NAME, "
                    f"metrics.NAME.OPTION=VALUE, or one of {', '.join(_MAY_CHANGE)}"
                )
            resume.set_value(stored, override)
    stored[_GROUP] = _metrics(stored, about_metrics)
    return schema.parse(stored)


def _metrics(stored: dict[str, object], overrides: Sequence[Override]) -> object:
    """The section ``metrics``: chosen anew where a choice is given, else the run's own with new values."""
    if not any(override.key_or_group == _GROUP for override in overrides):
        for override in overrides:
            resume.set_value(stored, override)
        return stored.get(_GROUP)
    section, own = composed([_as_list(override) for override in overrides])[_GROUP], stored.get(_GROUP)
    assert isinstance(section, Mapping)
    given = {override.key_or_group.removeprefix(f"{_GROUP}.") for override in overrides}
    settings = own if isinstance(own, Mapping) else {}
    kept = {key: settings[key] for key in schema.METRICS_SETTINGS if key in settings and key not in given}
    return {**section, **kept}


def _as_list(override: Override) -> str:
    """``metrics=mig,dci``, which is a sweep to Hydra, as the list that is meant.

    Raises:
        ConfigError: any other sweep.
    """
    text, value = str(override.input_line), override.value()
    if isinstance(value, ChoiceSweep) and value.simple_form and override.key_or_group == _GROUP:
        return f"{_GROUP}=[{','.join(map(str, value.list))}]"
    if override.is_sweep_override():
        raise ConfigError(f"{text}: expected a single value; the metrics of several runs are those of one command each")
    return text


def _measure(folder: Path, config: Config) -> None:
    """Encodes every split, measures it, and adds what was found to metrics.json."""
    # Late, since torch takes seconds to import and a mistake in the arguments needs none of it.
    from hfvae_runner import build, results

    metrics = record.load_metrics(folder)
    run = build.finished_run(config, folder)
    for name, found in results.measured(run).items():
        section = metrics.get(name)
        before = dict(section) if isinstance(section, Mapping) else {}
        for key in found:
            # What was undefined under other options may not be now.
            before.pop(f"{key}_why", None)
        metrics[name] = {**before, **found}
    how = metrics.get("measured")
    metrics["measured"] = {**(how if isinstance(how, Mapping) else {}), **results.measured_how(run)}
    record.write_metrics(folder, metrics)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sys.exit(main())

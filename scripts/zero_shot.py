"""Zero-shot generalisation (HFVAE 5.5): ``python scripts/zero_shot.py FOLDER 'dataset.holdout=...' [KEY=VALUE ...]``.

Trains one run on all examples (FOLDER/full) and another one without the examples that the holdout matches
(FOLDER/pruned), and evaluates both on those examples. A holdout may select them by a latent factor of the first run:
``{run: FOLDER/full, factor: "style[3]", above_quantile: 0.8}``. To inspect FOLDER/full first, train it alone with
``python -m hfvae_runner hydra.run.dir=FOLDER/full KEY=VALUE ...``. Runs that already exist in FOLDER are resumed.

    python scripts/zero_shot.py outputs/thick_sevens dataset=mnist objective=hfvae beta=12 gamma=4 \\
        'dataset.holdout={all: [{label: 7}, {measure: ink, above_quantile: 0.8}]}'

Prints a table, and writes every metric of both runs on the holdout to FOLDER/zero_shot.json.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Use this checkout's package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hfvae_runner.config import schema
from hfvae_runner.config.schema import Config
from hfvae_runner.config.stored import Allowed
from hfvae_runner.console import exit_code_of
from hfvae_runner.errors import ConfigError, RunnerError
from hfvae_runner.launch import jobs
from hfvae_runner.launch import main as train
from hfvae_runner.launch.composition import composed, parse_overrides, quoted
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.files import write_atomic

HOLDOUT = "dataset.holdout"
_ROWS = {
    "elbo": "ELBO",
    "reconstruction": "reconstruction",
    "kl": "KL",
    "discrete_accuracy_by_train": "discrete accuracy",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train or resume both runs and evaluate them; return 0, or the exit code of the first run that fails."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the two run folders belong")
    parser.add_argument("overrides", nargs="+", metavar="KEY=VALUE", help="as for hfvae_runner; one is dataset.holdout")
    chosen = parser.parse_args(arguments)
    try:
        everything, holdout = _split(chosen.overrides)
        _check(chosen.folder, [*everything, holdout])
        for name, overrides in {"full": everything, "pruned": [*everything, holdout]}.items():
            code = train([*overrides, f"hydra.run.dir={quoted(str(chosen.folder / name))}", "resume=auto"])
            if code:
                return code
        print(_scored(chosen.folder, schema.parse(composed([*everything, holdout]))))
    except RunnerError as error:
        return jobs.report(error, debug=False)
    return 0


def _split(overrides: Sequence[str]) -> tuple[list[str], str]:
    """Return the overrides of the run on all examples, and the override with the holdout of the other run."""
    parsed = parse_overrides(overrides)
    holdouts = [each for each in parsed if each.get_key_element() == HOLDOUT]
    if len(holdouts) != 1 or holdouts[0].value() is None:
        raise ConfigError(f"{len(holdouts)} of {HOLDOUT}=...; expected one condition, such as '{HOLDOUT}={{label: 7}}'")
    for each in parsed:
        if each.is_sweep_override() or each.key_or_group in ("resume", "hydra.run.dir"):
            raise ConfigError(f"{each.input_line}: expected values of a single run, whose folder is FOLDER/full")
    return [str(each.input_line) for each in parsed if each is not holdouts[0]], str(holdouts[0].input_line)


def _check(folder: Path, overrides: Sequence[str]) -> None:
    """Check the config before the first run, unless the holdout depends on that run and it has not finished."""
    config = schema.parse(composed(overrides))
    if not _names_a_run(config.dataset["holdout"]) or run_folder.inspect(folder / "full") == "finished":
        jobs.check(config)


def _names_a_run(condition: object) -> bool:
    if isinstance(condition, Mapping):
        return "run" in condition or any(map(_names_a_run, condition.values()))
    return isinstance(condition, list) and any(map(_names_a_run, condition))


def _scored(folder: Path, asked: Config) -> str:
    """Write zero_shot.json, and return its table.

    Args:
        folder: the folder with both runs.
        asked: the config of the command line.
    """
    # Late, since torch takes seconds to import and the checks of the arguments do not need it.
    from hfvae_runner.evaluation import results
    from hfvae_runner.runs import assembly

    stored = run_folder.load_config(folder / "pruned", Allowed.by(asked.trust, asked.resolved))
    config = schema.parse({**stored, "trust": list(asked.trust)})
    note = assembly.dataset_of(config).notes["holdout"]
    on_holdout, on_test = {}, {}
    for name in ("full", "pruned"):
        # The run on all examples is also evaluated on the pruned run's data.
        run = assembly.finished_run(config, folder / name)
        on_holdout[name] = results.split_metrics(run, "holdout")
        test = run_folder.load_metrics(folder / name)["test"]
        assert isinstance(test, Mapping)
        on_test[name] = test
    content = {"condition": config.dataset["holdout"], "note": note, "holdout": on_holdout}
    write_atomic(folder / "zero_shot.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return "\n".join([*_table("holdout", on_holdout), "", *_table("test", on_test), f"\n{note}"])


def _table(split: str, metrics: Mapping[str, Mapping[str, object]]) -> list[str]:
    examples = metrics["full"]["examples"]
    lines = [f"{f'{split} ({examples})':<24}{'trained on all':>16}{'without holdout':>18}"]
    for key, title in _ROWS.items():
        full, pruned = metrics["full"].get(key), metrics["pruned"].get(key)
        if full is not None and pruned is not None:
            lines.append(f"{title:<24}{full:>16.3f}{pruned:>18.3f}")
    return lines


if __name__ == "__main__":
    sys.exit(exit_code_of(main))

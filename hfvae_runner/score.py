"""Measure codes from any program: python -m hfvae_runner.score FILE … metrics=NAME.

A file is an .npz with mean [N, D] and, where they are known, scale or log_variance [N, D], sample [N, D],
class_probabilities [N, K] or class_probabilities/NAME, label [N], factors [N, F], factor_names, factor_nuisance and
names; or a .csv with columns mean/NAME, scale/NAME or log_variance/NAME, sample/NAME,
class_probabilities/VARIABLE/CATEGORY, label, factor/NAME and nuisance/NAME.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from hfvae_runner.config.factor_classes import FACTOR_BINS
from hfvae_runner.config.metric_choices import Specs, chosen_metrics, value_of
from hfvae_runner.config.names import Correlation
from hfvae_runner.config.validation import checked
from hfvae_runner.console import exit_code_of, spelt_out
from hfvae_runner.errors import ConfigError, RunnerError, nearest
from hfvae_runner.evaluation import scoring
from hfvae_runner.evaluation.score_table import table
from hfvae_runner.storage.files import strict_json, write_atomic

_SETTINGS = ("metrics", "out", "seed", "factor_bins", "udr", "debug")


class _Asked(NamedTuple):
    """A command line."""

    files: list[Path]
    specs: Specs
    out: Path | None
    seed: int
    factor_bins: int
    udr: Correlation | None


def main(argv: Sequence[str] | None = None) -> int:
    """Score every named file; return 2 if one cannot be used, and then measure and write nothing."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m hfvae_runner.score",
        description=description,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "arguments",
        nargs="+",
        metavar="FILE or KEY=VALUE",
        help="files; metrics=NAME, metrics=[NAME,NAME] or metrics=all (the default), metrics.NAME.OPTION=VALUE, "
        f"out=FILE.json, seed=0, factor_bins={FACTOR_BINS} (of continuous factors), "
        "udr=spearman or udr=lasso (how far several files of the same examples agree)",
    )
    given = parser.parse_args(argv).arguments
    return exit_code_of(lambda: _run(given))


def _run(arguments: Sequence[str]) -> int:
    try:
        asked = _asked(arguments)
        scores = scoring.score_files(
            asked.files, asked.specs, factor_bins=asked.factor_bins, seed=asked.seed, udr=asked.udr
        )
        for path, keys in scores.not_read.items():
            _tell(f"{path}: not read: {', '.join(keys)}")
        print(spelt_out(table(scores.files, scores.udr)))
        if asked.out is not None:
            write_atomic(asked.out, strict_json(scores.document(), str(asked.out), indent=2) + "\n")
    except RunnerError as error:
        if "debug=true" in arguments:
            traceback.print_exception(error)
        _tell(f"error: {' '.join(str(error).split())}")
        return error.exit_code
    return 0


def _asked(arguments: Sequence[str]) -> _Asked:
    files = [each for each in arguments if "=" not in each or Path(each).is_file()]
    settings: dict[str, str] = {}
    options: dict[str, dict[str, object]] = {}
    for argument in arguments:
        if argument in files:
            continue
        key, _, text = argument.partition("=")
        group, _, option = key.partition(".")
        metric, _, name = option.partition(".")
        if group == "metrics" and metric and name:
            options.setdefault(metric, {})[name] = value_of(text, key)
        elif key in _SETTINGS:
            settings[key] = text
        else:
            expected = f"a file, {', '.join(f'{name}=' for name in _SETTINGS)} or metrics.NAME.OPTION="
            raise ConfigError(f"{argument}: unknown key; expected {expected}{nearest(key, _SETTINGS)}")
    if not files:
        raise ConfigError(f"{' '.join(arguments)}: expected at least one file, .npz or .csv")
    if repeated := next((each for each in files if files.count(each) > 1), None):
        raise ConfigError(f"{repeated} is given twice; expected different files")
    names = [name for name in settings.get("metrics", "all").strip("[]").replace(" ", "").split(",") if name]
    numbers = {
        key: value_of(settings[key], key) if key in settings else default
        for key, default in {"seed": 0, "factor_bins": FACTOR_BINS}.items()
    }
    paths = [Path(each) for each in files]
    out = _out(settings["out"], paths) if "out" in settings else None
    udr = checked(Correlation, settings["udr"], "udr") if "udr" in settings else None
    return _Asked(paths, chosen_metrics(names, options), out, **scoring.checked_numbers(**numbers), udr=udr)


def _out(text: str, files: Sequence[Path]) -> Path:
    """Where the results go; that it can be written is looked at before anything is measured."""
    out = Path(text)
    if not text or out.is_dir() or not out.parent.is_dir():
        raise ConfigError(f"out={text}: expected the name of a file in a folder that is there, such as scores.json")
    if any(each.is_file() and out.is_file() and each.samefile(out) for each in files):
        raise ConfigError(f"out={text}: that is a file to score; expected another name")
    return out


def _tell(line: str) -> None:
    print(spelt_out(line), file=sys.stderr, flush=True)


class _Callable(ModuleType):
    """A module that can be called as the function of its name.

    The package's ``score`` is a function; whoever imports this command as a module replaces it by the module.
    """

    def __call__(self, **arguments: Any) -> dict[str, object]:
        return scoring.score(**arguments)


if __name__ == "__main__":
    sys.exit(main())
sys.modules[__name__].__class__ = _Callable

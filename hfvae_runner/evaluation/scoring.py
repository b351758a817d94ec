"""Scores a representation from anywhere: what is known without its model, by the metrics of conf/metrics.

torch is imported only where a chosen metric needs it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from pydantic import Strict

from hfvae_runner.config.factor_classes import FACTOR_BINS
from hfvae_runner.config.metric_choices import Specs, chosen_metrics
from hfvae_runner.config.names import Correlation
from hfvae_runner.config.stored import TARGET
from hfvae_runner.config.validation import WHOLE, checked
from hfvae_runner.errors import ConfigError
from hfvae_runner.evaluation.given_representation import Given, given
from hfvae_runner.evaluation.representation_file import CATEGORIES, read
from hfvae_runner.metrics import Metric, Representation, Subject, measured, metric_of
from hfvae_runner.metrics.udr import normal_kl
from hfvae_runner.metrics.udr import udr as udr_of
from hfvae_runner.training.seeds import derived

SCHEMA = 1
_Seed = Annotated[int, Strict(), Ge(0), WHOLE]
_Bins = Annotated[int, Strict(), Ge(2), WHOLE]


def score(
    *,
    mean: Any,
    scale: Any = None,
    log_variance: Any = None,
    sample: Any = None,
    class_probabilities: Any = None,
    label: Any = None,
    factors: Any = None,
    factor_names: Any = None,
    factor_nuisance: Any = None,
    names: Any = None,
    metrics: str | Sequence[str] = "all",
    options: Mapping[str, Mapping[str, object]] | None = None,
    factor_bins: int = FACTOR_BINS,
    seed: int = 0,
) -> dict[str, object]:
    """Scores a representation, given as arrays: what ``python -m hfvae_runner.score`` says of a file with them.

    Args:
        mean: posterior means of the continuous factors, [N, D].
        scale, log_variance: of the normal posteriors, [N, D], one or neither; without them what needs posteriors is
            None.
        sample: one draw of every posterior, [N, D]; drawn by the seed where it is not given and scales are.
        class_probabilities: q(c|x) of a discrete variable, [N, K]; of several by name, {name: [N, K]}.
        label: whole numbers from 0 on, [N].
        factors: ground-truth factors, [N, F], whole numbers or any reals.
        factor_names, factor_nuisance: [F] text, and bool: left out of means over factors.
        names: of the continuous factors, [D] text; ``block[0]``, ``block[1]``, … side by side are a block.
        metrics: one or several names as on the command line.
        options: of metrics, {metric: {option: value}}.
        factor_bins: a continuous factor is cut into so many bins of equal width where a metric wants classes; one is
            continuous that is not of whole numbers and has many values.
        seed: of every random number.

    Returns:
        The examples, the factors that were binned, and every metric's results; None beside a ``NAME_why`` where a
        metric needs what is not there. Information in nats.

    Raises:
        RunnerError: an array is not of its shape, not finite, or a metric or option does not exist.
    """
    arrays = {
        "mean": mean,
        "scale": scale,
        "log_variance": log_variance,
        "sample": sample,
        "label": label,
        "factors": factors,
        "factor_names": factor_names,
        "factor_nuisance": factor_nuisance,
        "names": names,
    }
    if isinstance(class_probabilities, Mapping):
        arrays |= {f"{CATEGORIES}/{name}": table for name, table in class_probabilities.items()}
    else:
        arrays[CATEGORIES] = class_probabilities
    chosen = chosen_metrics([metrics] if isinstance(metrics, str) else metrics, options or {})
    built = {name: metric_of(name, spec) for name, spec in chosen.items()}
    numbers = checked_numbers(factor_bins=factor_bins, seed=seed)
    return _scored(given(arrays, "score()", **numbers), built, numbers["seed"], show_progress=False)


@dataclass(frozen=True)
class Scores:
    """What the files are worth.

    Attributes:
        seed: of every random number.
        measured: each metric's options.
        files: what ``score`` returns, by path.
        not_read: the keys or columns of a file that are none of a representation, by path.
        udr: each file's ``metrics.udr``, by path; None if not asked for.
    """

    seed: int
    measured: Mapping[str, Mapping[str, object]]
    files: Mapping[str, Mapping[str, object]]
    not_read: Mapping[str, Sequence[str]]
    udr: Mapping[str, float] | None = None

    def document(self) -> dict[str, object]:
        """The content of the file that ``out=`` names."""
        return {"schema": SCHEMA, **asdict(self)}


def score_files(
    paths: Sequence[Path], specs: Specs, *, factor_bins: int, seed: int, udr: Correlation | None = None
) -> Scores:
    """Scores files; all are read and checked before the first is measured.

    Args:
        paths: ``.npz`` or ``.csv``; ``representation_file`` has their keys.
        specs: the metrics, as ``chosen_metrics`` returns them.
        factor_bins, seed: as for ``score``.
        udr: by what to compare the latents of the files, which are of the same examples, if at all.

    Raises:
        RunnerError: a file cannot be used, or a metric or option does not exist.
    """
    built = {name: metric_of(name, spec) for name, spec in specs.items()}
    contents = {str(path): read(path) for path in paths}
    taken = {path: given(each.arrays, path, factor_bins=factor_bins, seed=seed) for path, each in contents.items()}
    options = {name: {key: value for key, value in spec.items() if key != TARGET} for name, spec in specs.items()}
    ranked = None if udr is None else _ranked({path: each.representation for path, each in taken.items()}, udr)
    return Scores(
        seed,
        options | ({} if udr is None else {"udr": {"correlation": udr}}),
        {path: _scored(each, built, seed, show_progress=True) for path, each in taken.items()},
        {path: each.ignored for path, each in contents.items() if each.ignored},
        ranked,
    )


def _ranked(files: Mapping[str, Representation], correlation: Correlation) -> dict[str, float]:
    """``metrics.udr`` of each file among the others; their rows are in one order, as it depends on their number alone.

    Raises:
        ConfigError: there is one file, they are not of the same examples, or one has no scales.
    """
    where, (first, *others) = f"udr={correlation}", files
    if not others:
        raise ConfigError(f"{where}: there is one file; expected several of the same examples")
    kls = []
    for path, encoded in files.items():
        if len(encoded) != len(files[first]):
            counts = f"{first} has {len(files[first])} examples, {path} has {len(encoded)}"
            raise ConfigError(f"{where}: {counts}; expected the same examples in the same order")
        if _differ(encoded, files[first]):
            raise ConfigError(f"{where}: {first} and {path} differ in labels or factors; expected the same examples")
        if encoded.scale is None:
            raise ConfigError(f"{where}: {path} has neither scale nor log_variance; expected one, for the KL")
        kls.append(normal_kl(encoded.mean, encoded.scale))
    scores = udr_of([each.mean for each in files.values()], kls, correlation=correlation)
    return dict(zip(files, scores, strict=True))


def _differ(one: Representation, other: Representation) -> bool:
    """Whether something is known of both in which their examples differ."""
    known = [{each.name: each.magnitudes for each in encoded.truth} for encoded in (one, other)]
    return any(not np.array_equal(known[0][name], known[1][name]) for name in known[0].keys() & known[1].keys())


def _scored(taken: Given, metrics: Mapping[str, Metric], seed: int, *, show_progress: bool) -> dict[str, object]:
    """One representation's numbers; the same whatever stands beside it."""
    encoded = taken.representation

    def subject(name: str) -> Subject:
        return Subject(encoded, None, derived(seed, "metric", name, "score"), show_progress=show_progress)

    bins = {"factor_bins": dict(taken.bins)} if taken.bins else {}
    return {"examples": len(encoded), **bins, **measured(metrics, subject)}


def checked_numbers(*, factor_bins: object, seed: object) -> dict[str, int]:
    """The two as whole numbers; raises ConfigError where one is none, or too small."""
    return {"factor_bins": checked(_Bins, factor_bins, "factor_bins"), "seed": checked(_Seed, seed, "seed")}

"""Titles of the metrics, and their places in metrics.json."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import as_number

_DEEPEST = 2


class Metric(NamedTuple):
    """A number of a completed run.

    Its fields are the title, the function that returns the number (None if undefined), the unit, and for trade-offs the
    better direction.
    """

    title: str
    of: Callable[[Run], float | None]
    unit: str
    better: str = ""

    @property
    def axis(self) -> str:
        """The title and the unit, for a figure."""
        return self.title if self.unit == "share" else f"{self.title} / {self.unit}"


def places(section: Mapping[str, object], path: tuple[str, ...]) -> dict[tuple[str, ...], object]:
    """Return every value of a section by its place, such as ``("test", "kl_per_factor", "style[0]")``.

    The name of a list's entry is ``exponents[0]``. Values nested deeper, such as every factor's information about every
    variable, are left out.
    """
    found: dict[tuple[str, ...], object] = {}
    for key, value in section.items():
        if isinstance(value, dict):
            if len(path) < _DEEPEST:
                found |= places(value, (*path, key))
        elif isinstance(value, list):
            found |= places({f"{key}[{i}]": item for i, item in enumerate(value)}, path)
        else:
            found[*path, key] = value
    return found


def _test(key: str, inner: str | None = None) -> Callable[[Run], float | None]:
    def value(run: Run) -> float | None:
        found = run.section("test").get(key)
        if inner is not None:
            found = found.get(inner) if isinstance(found, Mapping) else None
        return as_number(found)

    return value


def discrete_information(run: Run) -> float | None:
    """Return I(y; c) on the test split, in nats; the largest value if there are several discrete variables.

    The name of a discrete variable is its block's; the name of a continuous one ends with a number in brackets.
    """
    information = run.section("test").get("label_information")
    if not isinstance(information, Mapping):
        return None
    values = [as_number(value) for name, value in information.items() if not str(name).endswith("]")]
    return max((value for value in values if value is not None), default=None)


ELBO = Metric("ELBO", _test("elbo"), "nats", "higher")
RECONSTRUCTION = Metric("reconstruction", _test("reconstruction"), "nats", "higher")
INFORMATION = Metric("mutual information", _test("mutual_information"), "nats", "higher")
CORRELATION = Metric("total correlation", _test("total_correlation"), "nats", "lower")
GAPS = tuple(
    Metric(title, _test(key), "share", "higher")
    for title, key in {"MIG": "mig", "MIG, exact": "mig_exact", "MIG, binned": "mig_binned"}.items()
)
"""The versions of the mutual information gap, of which the first measured one is used."""
_SHARES = {
    "discrete accuracy": ("discrete_accuracy",),
    "majority accuracy": ("discrete_accuracy_majority",),
    "FactorVAE score": ("factor_vae_score",),
    "BetaVAE score": ("beta_vae_score",),
    "DCI disentanglement": ("dci", "disentanglement"),
    "DCI completeness": ("dci", "completeness"),
    "DCI informativeness": ("dci", "informativeness"),
    "SAP": ("sap",),
    "modularity": ("modularity",),
    "explicitness": ("explicitness",),
    "IRS": ("irs",),
    "MCC": ("mcc_pearson",),
    "InfoM": ("infom",),
    "InfoC": ("infoc",),
    "InfoE": ("infoe",),
}
UDR = Metric("UDR", _test("udr"), "share", "higher")
ACCURACY = Metric("discrete accuracy", _test("discrete_accuracy"), "share", "higher")
CRITERIA = (ELBO, UDR)
"""Numbers that choose among runs without labels; the last one is the reason for a table of choices."""
QUALITIES = (*GAPS, ACCURACY)
"""Metrics that show what a choice is worth."""
METRICS = (
    ELBO,
    Metric("log p(x), bound", _test("importance_bound"), "nats"),
    RECONSTRUCTION,
    Metric("KL", _test("kl"), "nats"),
    INFORMATION,
    CORRELATION,
    Metric("KL(p ‖ q)", _test("inclusive_kl"), "nats", "lower"),
    Metric("I(y; c)", discrete_information, "nats"),
    Metric("I(y; c) gap", _test("label_information_gap"), "nats"),
    *GAPS,
    UDR,
    Metric("MCC between seeds", _test("mcc_between_seeds"), "share"),
    *(Metric(title, _test(*path), "share") for title, path in _SHARES.items()),
)
"""The metrics of the test split in short tables and figures. `settings.csv` has all metrics."""

WALL = Metric("wall time / s", lambda run: as_number(run.section("run").get("wall_seconds")), "seconds")

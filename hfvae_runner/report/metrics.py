"""Titles of the metrics, and their places in metrics.json."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import as_number

_DEEPEST = 2


class Metric(NamedTuple):
    """A number of a completed run.

    Attributes:
        title: its name in tables and figures.
        of: returns the number; None if it is undefined.
        unit: ``nats``, ``share`` or ``seconds``.
        better: ``higher`` or ``lower``; empty if neither direction is better.
        about: one line on what it says, with its source.
    """

    title: str
    of: Callable[[Run], float | None]
    unit: str
    better: str = ""
    about: str = ""

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


ELBO = Metric(
    "ELBO", _test("elbo"), "nats", "higher",
    "Evidence lower bound on log p(x): the reconstruction less the KL (Kingma & Welling 2014).",
)  # fmt: skip
RECONSTRUCTION = Metric(
    "reconstruction", _test("reconstruction"), "nats", "higher",
    "Mean of log p(x|z) over reparameterised samples z of the posterior.",
)  # fmt: skip
INFORMATION = Metric(
    "mutual information", _test("mutual_information"), "nats", "higher",
    "I(x; z), index-code mutual information: what the code tells about which example it is (Hoffman & Johnson 2016).",
)  # fmt: skip
CORRELATION = Metric(
    "total correlation", _test("total_correlation"), "nats", "lower",
    "KL between the aggregate posterior q(z) and the product of its factors' marginals: 0 if the factors are "
    "independent (Watanabe 1960; Chen et al. 2018).",
)  # fmt: skip
_GAP = "Mutual information gap (Chen et al. 2018): how much more one latent variable knows about a factor "
GAPS = (
    Metric("MIG", _test("mig"), "share", "higher", f"{_GAP}than any other; the authors' sampled estimator."),
    Metric("MIG, exact", _test("mig_exact"), "share", "higher", f"{_GAP}than any other; by quadrature."),
    Metric(
        "MIG, binned", _test("mig_binned"), "share", "higher",
        f"{_GAP}than any other; of means in 20 bins (Locatello et al. 2019).",
    ),
)  # fmt: skip
"""The versions of the mutual information gap, of which the first measured one is used."""
_SHARES = (
    (
        "discrete accuracy", ("discrete_accuracy",),
        "Accuracy of the discrete variable as a label, its categories assigned to classes one-to-one.",
    ),
    (
        "majority accuracy", ("discrete_accuracy_majority",),
        "Accuracy of the discrete variable as a label, each category assigned to its most frequent class.",
    ),
    (
        "FactorVAE score", ("factor_vae_score",),
        "Majority vote on which factor is fixed, from the latent variable that varies least (Kim & Mnih 2018).",
    ),
    (
        "BetaVAE score", ("beta_vae_score",),
        "Accuracy of a linear classifier that tells which factor two codes have in common (Higgins et al. 2017).",
    ),
    (
        "DCI disentanglement", ("dci", "disentanglement"),
        "Whether each latent variable is important for one factor (Eastwood & Williams 2018).",
    ),
    (
        "DCI completeness", ("dci", "completeness"),
        "Whether each factor needs one latent variable (Eastwood & Williams 2018).",
    ),
    (
        "DCI informativeness", ("dci", "informativeness"),
        "How well the factors are predicted from the code (Eastwood & Williams 2018).",
    ),
    ("SAP", ("sap",), "Separated attribute predictability: MIG's gap, of linear predictors (Kumar et al. 2018)."),
    (
        "modularity", ("modularity",),
        "Whether each latent variable has information about one factor (Ridgeway & Mozer 2018).",
    ),
    (
        "explicitness", ("explicitness",),
        "How well a linear classifier reads the factors' values from the code (Ridgeway & Mozer 2018).",
    ),
    ("IRS", ("irs",), "Whether a latent variable stays while other factors change (Suter et al. 2019)."),
    (
        "MCC", ("mcc_pearson",),
        "Mean Pearson correlation of factors and latent variables assigned one-to-one (Hyvärinen & Morioka 2016).",
    ),
    ("InfoM", ("infom",), "Modularity as information (Hsu et al. 2023)."),
    ("InfoC", ("infoc",), "Compactness as information (Hsu et al. 2023)."),
    ("InfoE", ("infoe",), "Explicitness as information (Hsu et al. 2023)."),
)  # fmt: skip
UDR = Metric(
    "UDR", _test("udr"), "share", "higher",
    "Unsupervised disentanglement ranking: agreement of the latents with those of other seeds (Duan et al. 2020).",
)  # fmt: skip
ACCURACY = Metric("discrete accuracy", _test("discrete_accuracy"), "share", "higher", _SHARES[0][2])
CRITERIA = (ELBO, UDR)
"""Numbers that choose among runs without labels; the last one is the reason for a table of choices."""
QUALITIES = (*GAPS, ACCURACY)
"""Metrics that show what a choice is worth."""
METRICS = (
    ELBO,
    Metric(
        "log p(x), bound", _test("importance_bound"), "nats", "",
        "Importance-weighted lower bound on log p(x) (Burda et al. 2016).",
    ),
    RECONSTRUCTION,
    Metric("KL", _test("kl"), "nats", "", "KL(q(z|x) ‖ p(z)), mean over the examples."),
    INFORMATION,
    CORRELATION,
    Metric(
        "KL(p ‖ q)", _test("inclusive_kl"), "nats", "lower",
        "KL from the prior to the aggregate posterior: large where a part of the prior has no codes "
        "(Mathieu et al. 2019).",
    ),
    Metric(
        "I(y; c)", discrete_information, "nats", "",
        "Information of the discrete variable about the label (Esmaeili et al. 2019).",
    ),
    Metric(
        "I(y; c) gap", _test("label_information_gap"), "nats", "",
        "I(y; c) less the largest information of a continuous latent variable about the label "
        "(Esmaeili et al. 2019, Fig. 8).",
    ),
    *GAPS,
    UDR,
    Metric(
        "MCC between seeds", _test("mcc_between_seeds"), "share", "",
        "Mean correlation of this run's latent variables with another seed's, assigned one-to-one.",
    ),
    *(Metric(title, _test(*path), "share", "higher", about) for title, path, about in _SHARES),
)  # fmt: skip
"""The metrics of the test split in short tables and figures. `settings.csv` has all metrics."""

WALL = Metric(
    "wall time / s", lambda run: as_number(run.section("run").get("wall_seconds")), "seconds", "", "Time of training."
)

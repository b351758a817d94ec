"""The table that a finished run logs."""

from collections.abc import Mapping
from typing import Any

_ALWAYS = {
    "elbo": "ELBO",
    "reconstruction": "reconstruction",
    "kl": "KL",
    "mutual_information": "mutual information",
    "total_correlation": "total correlation",
}
# In the order in which they matter; a run has those that its data define.
_OF_THE_DATA = {
    "perplexity": "perplexity per word",
    "discrete_accuracy": "discrete accuracy",
    "supervised_accuracy": "… category k as label k",
    "label_information_gap": "label information gap",
    "mig": "mutual information gap",
    "dci.disentanglement": "DCI disentanglement",
    "factor_vae_score": "FactorVAE score",
    "beta_vae_score": "BetaVAE score",
    "sap": "SAP",
    "modularity": "modularity",
    "explicitness": "explicitness",
    "irs": "IRS",
    "mcc_pearson": "MCC (Pearson)",
    "mcc_spearman": "MCC (Spearman)",
    "infom": "InfoM",
    "infoc": "InfoC",
    "infoe": "InfoE",
    "published_mig": "MIG, as published",
    "published_sap": "SAP, as published",
    "published_modularity": "modularity, as published",
    "published_factor_vae_score": "FactorVAE, as published",
    "published_beta_vae_score": "BetaVAE, as published",
    "active_units": "active units",
}
_MOST_OF_THE_DATA = 5
_MOST_FACTORS = 12
_WIDEST_NAME = 22  # so that a line with five columns has less than 80 characters


def table(metrics: Mapping[str, Any]) -> str:
    """Format the main numbers with the splits side by side, then the factors with most information on the test split.

    Terms and information are in nats; accuracies are from 0 to 1.

    Args:
        metrics: the content of metrics.json.
    """
    splits = {name: max(10, len(name) + 2) for name in ("train", "test", "test_sampled", "holdout") if name in metrics}
    test = metrics["test"]
    lines = [f"{'nats per example':<24}" + "".join(f"{name:>{width}}" for name, width in splits.items())]
    of_the_data = [(key, title) for key, title in _OF_THE_DATA.items() if _value(test, key) is not None]
    lines += [
        f"{title:<24}" + "".join(f"{_number(_value(metrics[name], key)):>{width}}" for name, width in splits.items())
        for key, title in [*_ALWAYS.items(), *of_the_data[:_MOST_OF_THE_DATA]]
        if _value(test, key) is not None
    ]
    if "topics" in metrics:
        lines.append(f"{'NPMI of the topics':<24}{_number(metrics['topics']['npmi']):>10}")
    information = test["information_per_factor"]
    columns = {"I(x;z)": information}
    if test["kl_per_factor"] is not None:
        columns["KL"] = test["kl_per_factor"]
    if test.get("label_information") is not None:
        # The estimate for permuted labels shows its bias.
        columns |= {"I(y;z)": test["label_information"], "by chance": test["label_information_permuted"]}
    lines += ["", f"{'factor (test)':<24}" + "".join(f"{title:>10}" for title in columns)]
    for name in sorted(information, key=information.__getitem__, reverse=True)[:_MOST_FACTORS]:
        short = name if len(name) <= _WIDEST_NAME else f"{name[: _WIDEST_NAME - 1]}…"
        lines.append(f"{short:<24}" + "".join(f"{_number(values.get(name)):>10}" for values in columns.values()))
    lines.append("all numbers and factors: metrics.json")
    return "\n".join(lines)


def _value(section: Mapping[str, Any], key: str) -> float | None:
    """Return a number of a section by its dotted key; None where a part of the key is missing."""
    found: Any = section
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, int | float) else None


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"

"""The table at the end of a run."""

from typing import Any

import pytest

from hfvae_runner.evaluation.summary import table


def section(**more: object) -> dict[str, Any]:
    return {
        "elbo": -101.25,
        "reconstruction": -80.0,
        "kl": 21.25,
        "total_correlation": 0.5,
        "information_per_factor": {"style[0]": 0.5, "style[1]": 1.75, "class": 1.0},
        "kl_per_factor": {"style[0]": 0.6, "style[1]": 2.0, "class": 1.1},
        "label_information": None,
        "label_information_gap": None,
        "discrete_accuracy": None,
        **more,
    }


LABELLED: dict[str, object] = {
    "label_information": {"style[0]": 0.125, "style[1]": 0.25, "class": 1.5},
    "label_information_permuted": {"style[0]": 0.03125, "style[1]": 0.0625, "class": 0.015625},
    "label_information_gap": 1.25,
    "discrete_accuracy": 0.875,
}


def rows(metrics: dict[str, Any]) -> dict[str, list[str]]:
    """The numbers of each line, by its title."""
    lines = [line for line in table(metrics).splitlines() if line]
    return {line[:24].strip(): line[24:].split() for line in lines}


def test_train_and_test_stand_side_by_side() -> None:
    shown = rows({"train": section(elbo=-99.5), "test": section()})
    assert shown["nats per example"] == ["train", "test"]
    assert shown["ELBO"] == ["-99.500", "-101.250"]
    assert shown["KL"] == ["21.250", "21.250"]


def test_factors_are_ranked_by_information() -> None:
    lines = table({"train": section(), "test": section()}).splitlines()
    assert [line.split()[0] for line in lines[-4:-1]] == ["style[1]", "class", "style[0]"]
    assert lines[-4].split()[1:] == ["1.750", "2.000"]


def test_labels_have_columns_of_their_own() -> None:
    shown = rows({"train": section(**LABELLED), "test": section(**LABELLED)})
    assert shown["class"] == ["1.000", "1.100", "1.500", "0.016"]
    assert shown["label information gap"] == ["1.250", "1.250"]
    assert shown["discrete accuracy"] == ["0.875", "0.875"]


@pytest.mark.parametrize("title", ["label information gap", "discrete accuracy"])
def test_what_is_not_defined_is_not_shown(title: str) -> None:
    shown = rows({"train": section(), "test": section()})
    assert title not in shown
    assert shown["class"] == ["1.000", "1.100"]


def test_a_number_that_one_split_lacks() -> None:
    shown = rows({"train": section(discrete_accuracy=None), "test": section(**LABELLED)})
    assert shown["discrete accuracy"] == ["–", "0.875"]


def test_it_is_short_and_fits_a_terminal() -> None:
    names = [f"a_name_longer_than_its_column[{number}]" for number in range(40)]
    values = dict.fromkeys(names, -1234.5)
    scores = dict.fromkeys(["mig", "sap", "irs", "modularity", "infom", "infoc", "infoe"], 0.5)
    full = section(**LABELLED, **scores, perplexity=900.0)
    full |= dict.fromkeys(("information_per_factor", "kl_per_factor", "label_information"), values)
    full |= {"label_information_permuted": values}
    lines = table(dict.fromkeys(["train", "test", "test_sampled", "holdout"], full)).splitlines()
    assert max(map(len, lines)) < 80
    assert len(lines) <= 26
    assert "discrete accuracy" in "\n".join(lines)
    assert lines[-1] == "all numbers and factors: metrics.json"


def test_nested_numbers_and_topics_are_shown() -> None:
    with_dci = section(dci={"disentanglement": 0.25, "completeness": None})
    shown = rows({"train": with_dci, "test": with_dci, "topics": {"npmi": 0.125}})
    assert shown["DCI disentanglement"] == ["0.250", "0.250"]
    assert shown["NPMI of the topics"] == ["0.125"]

"""The equations of docs/reference/choices.md."""

import sys
from pathlib import Path
from typing import Any

import pytest
from latex2mathml.converter import convert

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from _reference import objectives
from _reference.equations import FORMULAS, defined, equation

from hfvae_runner.config import catalogue
from hfvae_runner.launch import help

KL = FORMULAS["kl"]


def test_every_term_has_a_formula() -> None:
    assert list(FORMULAS) == list(catalogue.terms())


@pytest.mark.parametrize("name", help.names("objective"))
def test_every_objective_has_an_equation_of_mathml(name: str) -> None:
    path = help.path_of("objective", name)
    assert "<math" in convert(equation(objectives._terms(path)))


@pytest.mark.parametrize("term", FORMULAS)
def test_every_formula_fits_a_cell_of_a_table(term: str) -> None:
    assert "|" not in defined(term)
    assert "<math" in convert(defined(term))


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        (1, f"+ {KL}"),
        ("${beta}", rf"+ \beta {KL}"),
        ({"sum": ["${alpha}", "${lambda}", -1]}, rf"+ (\alpha + \lambda - 1) {KL}"),
        ({"sum": [1, {"negative": "${alpha}"}]}, rf"+ (1 - \alpha) {KL}"),
        ({"weight": {"negative": "${lambda}"}}, rf"- \lambda {KL}"),
        ({"weight": 2, "method": "monte_carlo"}, f"+ 2 {KL}"),
        ({"weight": 1, "blocks": ["discrete"]}, r"+ \mathrm{KL}_{\mathrm{discrete}}"),
        ({"pi_control": {"target": 3}}, rf"+ \beta_{{t}} {KL}"),
        (
            {"weight": "${gamma}", "target": {"linear": [0, "${capacity}", "${ramp_steps}"]}},
            rf"+ \gamma \left\vert {KL} - C \min(1, t / T) \right\vert",
        ),
        ({"weight": 1, "target": 2, "cap": "log_categories"}, rf"+ \left\vert {KL} - \min(2, \log K) \right\vert"),
    ],
)
def test_weights_and_targets(spec: Any, shown: str) -> None:
    assert equation({"reconstruction": 1, "kl": spec}) == rf"\mathcal{{L}} = - {FORMULAS['reconstruction']} {shown}"


def test_an_unknown_knob_is_an_error() -> None:
    with pytest.raises(KeyError, match="delta"):
        equation({"kl": "${delta}"})


def test_a_comment_above_a_knob_is_its_meaning() -> None:
    knobs, rest = objectives._split(["# why", "a: 1.0   # what", "objective:", "  terms: {kl: 1}"])
    assert knobs == [("a", "1.0", "why what")]
    assert rest == ["objective:", "  terms: {kl: 1}"]

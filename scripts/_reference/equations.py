"""The equation of an objective, as LaTeX, from the weights and targets of its terms in conf/.

The signs are chosen so that GitHub and MathML show the same: no ``|`` and no escaped punctuation.
"""

from collections.abc import Mapping
from typing import Any

FORMULAS: Mapping[str, str] = {
    "adversarial": r"\mathbb{E}_{p(z)}[-\log D(\tilde{x})]",
    "block_kl": r"\sum_{g} \mathrm{KL}(q(z_{g}) \Vert p(z_{g}))",
    "code_information": r"\mathbb{E}_{p(z)}[\log q(z \mid \tilde{x}) - \log p(z)]",
    "commitment": r"\frac{P}{D} \sum_{d} (e_{d} - \mathrm{sg}(c_{d}))^{2}",
    "critic_total_correlation": r"\mathrm{KL}(q(z) \Vert \prod_{d} q(z_{d}))",
    "diagonal_covariance": r"\sum_{i} (\mathrm{Cov}_{ii} - 1)^{2}",
    "dimension_kl": r"\sum_{d} \mathrm{KL}(q(z_{d}) \Vert p(z_{d}))",
    "factor_cross_entropy": r"\sum_{k} \mathrm{H}(v_{k}, \sigma(\mu_{k}))",
    "group_tc": r"\mathbb{E}[\log \frac{q(z)}{\prod_{g} q(z_{g})} - \log \frac{p(z)}{\prod_{g} p(z_{g})}]",
    "inclusive_kl": r"\mathrm{KL}(p(z) \Vert q(z))",
    "kl": r"\mathrm{KL}(q(z \mid x) \Vert p(z))",
    "label_likelihood": r"\mathbb{E}[\log q(y \mid x)]",
    "marginal_kl": r"\mathrm{KL}(q(z) \Vert p(z))",
    "mmd": r"\mathrm{MMD}^{2}(q(z), p(z))",
    "mutual_information": r"I(x; z)",
    "off_diagonal_covariance": r"\sum_{i \neq j} \mathrm{Cov}_{ij}^{2}",
    "quantisation": r"\frac{P}{D} \sum_{d} (\mathrm{sg}(e_{d}) - c_{d})^{2}",
    "reconstruction": r"\mathbb{E}[\log p(x \mid z)]",
    "total_correlation": r"\mathrm{KL}(q(z) \Vert \prod_{d} q(z_{d}))",
    "within_tc": r"\sum_{g} \mathbb{E}[\log \frac{q(z_{g})}{\prod_{d} q(z_{gd})} - \log \frac{p(z_{g})}{\prod_{d} "
    r"p(z_{gd})}]",
}
"""Each term, before its weight."""

_REWARDS = ("reconstruction", "label_likelihood", "code_information")
_NAMES: Mapping[str, str] = {
    "critic_total_correlation": r"\mathrm{TC}",
    "total_correlation": r"\mathrm{TC}",
    "group_tc": r"\mathrm{TC}_{\mathrm{between}}",
    "within_tc": r"\mathrm{TC}_{\mathrm{within}}",
}
"""What stands in an equation in place of a long formula."""
_OF_BLOCKS: Mapping[str, str] = {"kl": r"\mathrm{KL}_{BLOCKS}", "mutual_information": r"I_{BLOCKS}"}
_GREEK = ("alpha", "beta", "gamma", "lambda")
_SHORT: Mapping[str, str] = {
    "lambda_od": r"\lambda_{\mathrm{od}}",
    "lambda_d": r"\lambda_{\mathrm{d}}",
    "quantisation": r"w_{\mathrm{q}}",
    "commitment": r"w_{\mathrm{c}}",
    "capacity": "C",
    "capacity_continuous": r"C_{\mathrm{c}}",
    "capacity_discrete": r"C_{\mathrm{d}}",
    "set_point": "C",
    "ramp_steps": "T",
    "information": r"\lambda",
    "anchors": r"\mathrm{anchors}",
}
_CONTROLLED = r"\beta_{t}"


def defined(term: str) -> str:
    """Return a term's formula, after the name that stands for it in equations, if there is one."""
    return f"{_NAMES[term]} = {FORMULAS[term]}" if term in _NAMES else FORMULAS[term]


def symbol(knob: str) -> str:
    """Return the letter that stands for a knob in an equation.

    Raises:
        KeyError: there is none.
    """
    return f"\\{knob}" if knob in _GREEK else _SHORT[knob]


def equation(terms: Mapping[str, Any]) -> str:
    """Return the quantity that training minimises.

    Args:
        terms: of ``objective.terms`` in a file of conf/, without references resolved.

    Raises:
        KeyError: a term or a knob has no formula here.
    """
    summands = [_summand(name, spec) for name, spec in terms.items()]
    first, *rest = summands
    return r"\mathcal{L} = " + first.removeprefix("+ ") + "".join(f" {each}" for each in rest)


def _summand(name: str, spec: Any) -> str:
    options = spec if isinstance(spec, Mapping) and not _is_schedule(spec) else {"weight": spec}
    term = options.get("term", name)
    formula = _NAMES.get(term, FORMULAS[term])
    if options.get("blocks") is not None:
        formula = _OF_BLOCKS[term].replace("BLOCKS", _blocks(options["blocks"]))
    if "target" in options:
        target = _value(options["target"])
        if options.get("cap") is not None:
            target = rf"\min({target}, \log K)"
        formula = rf"\left\vert {formula} - {target} \right\vert"
    weight = _CONTROLLED if "pi_control" in options else _weight(options.get("weight", 1))
    negative = (term in _REWARDS) != weight.startswith("-")
    return " ".join(filter(None, ["-" if negative else "+", weight.removeprefix("-"), formula]))


def _is_schedule(spec: Mapping[str, Any]) -> bool:
    return len(spec) == 1 and next(iter(spec)) in ("linear", "sum", "product", "negative")


def _blocks(chosen: Any) -> str:
    return symbol(_knob(chosen)) if isinstance(chosen, str) else rf"\mathrm{{{' '.join(chosen)}}}"


def _weight(weight: Any) -> str:
    if weight == 1:
        return ""
    text = _value(weight)
    return f"({text})" if isinstance(weight, Mapping) and "sum" in weight else text


def _value(value: Any) -> str:
    """Return a number, a knob or a schedule; t is the optimiser step."""
    if isinstance(value, str):
        return symbol(_knob(value))
    if not isinstance(value, Mapping):
        return f"{value:g}"
    ((kind, inner),) = value.items()
    if kind == "sum":
        first, *rest = (_value(each) for each in inner)
        return first + "".join(f" - {each[1:]}" if each.startswith("-") else f" + {each}" for each in rest)
    if kind == "negative":
        return f"-{_value(inner)}"
    start, end, steps = inner
    if kind != "linear" or start != 0:
        raise KeyError(kind)
    return rf"{_value(end)} \min(1, t / {_value(steps)})"


def _knob(reference: str) -> str:
    return reference.removeprefix("${").removesuffix("}")

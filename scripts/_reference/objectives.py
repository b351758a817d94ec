"""The part of docs/reference/choices.md on objectives: every term, and for each objective its equation and knobs."""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

import hfvae_runner
from _reference.equations import defined, equation, symbol
from hfvae_runner.config import catalogue

ABOUT = (
    "Each equation is the quantity that training minimises: a weighted sum of terms, each a mean over the batch. "
    "An index of KL or I names the blocks that it is of, $g$ are blocks and $d$ factors, and $t$ is the optimiser "
    "step. K is the number of categories, P the number of an example's values, D that of quantised factors, $e_{d}$ "
    "the encoder's output and $c_{d}$ the nearest value of the codebook; no gradient passes through sg. A controller "
    "sets $\\beta_{t}$. $\\tilde{x}$ is an example generated from a draw of the prior, $D(x)$ the probability that a "
    "discriminator gives to x of being one of the data. The table below has every term that an objective may contain. "
    "Below each objective stand its "
    "knobs, and then the rest of its file."
)
_KNOB = re.compile(r"^(?P<name>[a-z_]+):\s+(?P<value>[^\s#].*?)(?:\s+#\s*(?P<about>.*))?$")


def term_table(as_text: Callable[[str], str]) -> str:
    """Return a table of all terms: name, formula, first sentence of the module, options.

    Args:
        as_text: escapes the signs that Markdown would read.
    """
    folder = Path(hfvae_runner.__file__).parent / "objectives" / "terms"
    lines = ["| term | formula | meaning | options |", "|---|---|---|---|"]
    for name, options in catalogue.terms().items():
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        about = as_text((ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " "))
        own = ", ".join(f"`{each}`" for each in options)
        lines.append(f"| `{name}` | ${defined(name)}$ | {about} | {own} |")
    return "\n".join(lines)


def section(path: Path, body: Sequence[str], as_text: Callable[[str], str]) -> list[str]:
    """Return the equation and the table of knobs of one objective, and then the rest of its file.

    Args:
        path: the objective's file in conf/.
        body: the lines of the file below its first comment.
        as_text: escapes the signs that Markdown would read.
    """
    knobs, rest = _split(body)
    parts = [f"$${equation(_terms(path))}$$"]
    if knobs:
        lines = ["| knob | in the equation | default | meaning |", "|---|---|---|---|"]
        for name, value, about in knobs:
            lines.append(f"| `{name}` | {_letter(name)} | `{value}` | {as_text(about)} |")
        parts.append("\n".join(lines))
    return [*parts, "\n".join(["```yaml", *rest, "```"])]


def _terms(path: Path) -> Mapping[str, Any]:
    """Return an objective's terms, with those of the group that its defaults list adds."""
    content: Any = OmegaConf.load(path)
    for entry in content.get("defaults", []):
        if OmegaConf.is_dict(entry):
            ((group, name),) = entry.items()
            if str(group).startswith("/"):
                content = OmegaConf.merge(content, OmegaConf.load(path.parents[1] / f"{str(group)[1:]}/{name}.yaml"))
    terms = OmegaConf.to_container(content)
    assert isinstance(terms, dict)
    found: Mapping[str, Any] = terms["objective"]["terms"]
    return found


def _split(body: Sequence[str]) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return the knobs with their values and comments, and the other lines. A comment above a knob belongs to it."""
    knobs: list[tuple[str, str, str]] = []
    rest: list[str] = []
    above: list[str] = []
    for line in body:
        if line.startswith("#"):
            above.append(line.lstrip("# "))
            continue
        found = _KNOB.match(line)
        if found:
            knobs.append((found["name"], found["value"], " ".join(" ".join([*above, found["about"] or ""]).split())))
        else:
            rest += [*(f"# {each}" for each in above), line]
        above = []
    return knobs, [line for line, before in zip(rest, ["", *rest], strict=False) if line or before]


def _letter(knob: str) -> str:
    try:
        return f"${symbol(knob)}$"
    except KeyError:
        return ""

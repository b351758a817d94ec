"""Sphinx: builds the site from docs/ without a request to anywhere. ``make docs`` treats warnings as errors."""

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import hfvae_runner  # noqa: E402  # of this checkout

project, author = "hfvae_runner", "the hfvae_runner authors"
release = version = hfvae_runner.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["reference/schema"]
source_suffix = {".md": "markdown"}
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = f"hfvae_runner {version}"
html_css_files = ["site.css"]
html_static_path = ["site.css"]

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def _name_files(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace links to files that are no pages, such as ../conf, by their paths: a site has no repository beside it."""
    folder = (ROOT / "docs" / page).parent

    def shown(link: re.Match[str]) -> str:
        target = link["target"].partition("#")[0]
        path = (folder / target).resolve()
        is_page = not target or (path.suffix == ".md" and path.is_relative_to(ROOT / "docs"))
        if is_page or "://" in link["target"]:
            return link[0]
        return f"{link['text']} (`{path.relative_to(ROOT).as_posix()}`)"

    source[0] = _LINK.sub(shown, source[0])


def _mathml(translator: Any, node: nodes.Element, display: str) -> None:
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Connect the rewriting of links, and the mathematics as MathML, which browsers draw without a script."""
    app.connect("source-read", _name_files)
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda translator, node: _mathml(translator, node, "inline"), None),
        block_renderers=(lambda translator, node: _mathml(translator, node, "block"), None),
    )


html_math_renderer = "mathml"

"""The page: a template, with its style, its script and its data in it."""

import base64
import hashlib
import json

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from hfvae_runner.explore.content import Content, asset


def page(content: Content) -> str:
    """Return the whole page, which refers to no other file."""
    style, script = asset("explore.css"), asset("explore.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(asset("explore.html.j2")).render(
        title=content.title,
        facts=content.facts,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=Markup(_json(content.data)),
        weights="" if content.weights is None else base64.b64encode(content.weights).decode(),
    )


def _json(value: object) -> str:
    """Return JSON that cannot end the element that it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

"""Renders a page that refers to no other file: a template with its style, its script and its data in it."""

import base64
import hashlib
import json

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup


def rendered(template: str, *, style: str, script: str, data: object, **values: object) -> str:
    """Render a jinja2 template, in which text from outside stays text.

    Args:
        template: the template's source. It names ``style``, ``script``, ``data``, and for its content security policy
            ``style_hash`` and ``script_hash``.
        style: the page's CSS.
        script: the page's JavaScript.
        data: what the script reads, as JSON.
        values: whatever else the template names.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=Markup(_json(data)),
        **values,
    )


def _json(value: object) -> str:
    """Return JSON that cannot end the element that contains it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(content: str) -> str:
    """Return the source expression of a content security policy that allows this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

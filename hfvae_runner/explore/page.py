"""The page: a template, with its style, its script and its data in it."""

import base64

from hfvae_runner.explore.content import Content, asset
from hfvae_runner.report.template import rendered


def page(content: Content) -> str:
    """Return the whole page, which refers to no other file."""
    return rendered(
        asset("explore.html.j2"),
        style=asset("explore.css"),
        script=asset("decoder.js") + asset("explore.js"),
        data=content.data,
        title=content.title,
        facts=content.facts,
        weights="" if content.weights is None else base64.b64encode(content.weights).decode(),
    )

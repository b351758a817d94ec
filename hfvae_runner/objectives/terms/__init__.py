"""The terms of objectives, one per file. The name of a term is the name of its file and of its function.

A term is a function of one batch's ``Evidence``. To add a term, add a file to this folder; files in conf/objective can
then use its name.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from hfvae_runner.config.validation import held
from hfvae_runner.errors import ConfigError

if TYPE_CHECKING:
    from hfvae_runner.latents.latents import Latents
    from hfvae_runner.objectives.terms._term import Examples, MeanTerm, Term


def mean(name: str) -> "MeanTerm":
    """Return the built-in term called ``name``, which must be a mean over examples."""
    from hfvae_runner.objectives.terms._term import MeanTerm

    kind = getattr(import_module(f"{__name__}.{name}"), name)
    assert isinstance(kind, MeanTerm), f"{name} is no mean over examples"
    return kind


def bind(name: str, latents: "Latents", options: Mapping[str, object], examples: "Examples | None" = None) -> "Term":
    """Return the built-in term called ``name`` with its options, bound to the latents.

    Args:
        name: of the term.
        latents: the latents.
        options: by name.
        examples: what a term with a network that reads examples must know of them; other terms do not need it.

    Raises:
        ConfigError: an option's value does not have the type that the term requires, or does not fit the latents.
    """
    from hfvae_runner.objectives.terms._term import kind_of

    kind = kind_of(getattr(import_module(f"{__name__}.{name}"), name))
    options = held(kind.function, options)
    try:
        latents.select(options.get("blocks"))
    except ConfigError as error:
        raise ConfigError(f"blocks: {error}") from None
    return kind.bind(latents, examples, options)

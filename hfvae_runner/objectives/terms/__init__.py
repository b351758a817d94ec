"""The terms an objective may weigh, one per file; a term's name is its file's and its function's.

A term is a function of one batch's ``Evidence``. A new one is a file here, and conf/objective can name it at once.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from hfvae_runner.config.validation import held
from hfvae_runner.errors import ConfigError

if TYPE_CHECKING:
    from hfvae_runner.latents.latents import Latents
    from hfvae_runner.objectives.terms._term import MeanTerm, Term


def mean(name: str) -> "MeanTerm":
    """Return the built-in term called ``name``, one that is a mean over examples."""
    from hfvae_runner.objectives.terms._term import MeanTerm

    kind = getattr(import_module(f"{__name__}.{name}"), name)
    assert isinstance(kind, MeanTerm), f"{name} is no mean over examples"
    return kind


def bind(name: str, latents: "Latents", options: Mapping[str, object]) -> "Term":
    """Return the built-in term called ``name``, with its options, for these latents.

    Raises:
        ConfigError: an option's value is not of the kind that the term takes, or does not fit the latents.
    """
    from hfvae_runner.objectives.terms._term import MeanTerm

    kind = getattr(import_module(f"{__name__}.{name}"), name)
    options = held(kind.per_example if isinstance(kind, MeanTerm) else kind, options)
    try:
        latents.select(options.get("blocks"))
    except ConfigError as error:
        raise ConfigError(f"blocks: {error}") from None
    bound: Term = kind.bind(options) if isinstance(kind, MeanTerm) else kind(latents, **options)
    return bound

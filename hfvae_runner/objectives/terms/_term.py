"""The base class of terms: a term is a scalar function of one batch's evidence, in nats per example.

A term's file defines a function with the file's name. Either the function takes the evidence and is decorated with
``batch_mean`` or ``rewarded_batch_mean``, or it takes the latents and returns a ``Term``, which may draw noise and have
parameters of its own. If it is decorated with ``on_examples``, it also takes an ``Examples``. In all cases its
keyword-only arguments are the term's options.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from hfvae_runner.latents.blocks import Noise
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents


class Term(nn.Module, ABC):
    """A scalar function of one batch's evidence, bound to latents and options.

    Attributes:
        sign: −1 for a reward, which the loss subtracts; otherwise 1.
        generates: whether the term needs ``Evidence.generated``.
        optimizer_options: optimiser options for the term's own parameters, such as ``lr``. The run's options apply
            where they are missing.
    """

    sign: int = 1
    generates: bool = False
    optimizer_options: Mapping[str, object] = {}

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Sequence[Noise]:
        """Return the random numbers of one evaluation, which are drawn outside of the step; by default none."""
        return ()

    @abstractmethod
    def forward(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor:
        """Return the term, a scalar."""

    def fit(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor | None:
        """Return the scalar loss that trains the term's own parameters only, or None if the term has none."""
        return None


class _MeanOf(Term):
    def __init__(self, per_example: Callable[..., Tensor], sign: int, options: Mapping[str, object]) -> None:
        super().__init__()
        self.sign = sign
        self.per_example = per_example
        self.options = dict(options)

    def forward(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor:
        value = self.per_example(evidence, **self.options)
        if evidence.supervised is not None and "blocks" in _keywords(self.per_example):
            # Where the label is given, its variable is observed and not latent.
            named = self.options.get("blocks")
            value = torch.where(evidence.supervised.given, self._without(evidence, named), value)
        return value.mean()

    def _without(self, evidence: Evidence, named: Any) -> Tensor:
        """Return the value over all chosen blocks except the supervised one, [B]; 0 if no other block is chosen."""
        assert evidence.supervised is not None
        blocks = [evidence.latents.blocks[g].name for g in evidence.latents.select(named)]
        others = [name for name in blocks if name != evidence.supervised.block]
        if not others:
            return torch.zeros_like(evidence.log_px)
        return self.per_example(evidence, **{**self.options, "blocks": others})


def _keywords(function: Callable[..., object]) -> tuple[str, ...]:
    return tuple(getattr(function, "__kwdefaults__", None) or ())


@dataclass(frozen=True)
class Examples:
    """What a term with a network that reads examples must know of them.

    Attributes:
        shape: of one example.
        encoder_of: builds a network with the architecture of the model's encoder and new parameters, which returns the
            posterior parameters of the given latents, [B, *] -> [B, n_parameters].
    """

    shape: tuple[int, ...]
    encoder_of: Callable[[Latents], nn.Module]


class Kind(Protocol):
    """How a term is made from the function in its file."""

    @property
    def function(self) -> Callable[..., object]:
        """The function, whose keyword-only arguments are the term's options."""

    def bind(self, latents: Latents, examples: Examples | None, options: Mapping[str, object]) -> Term:
        """Return the term with these options, bound to the latents."""


@dataclass(frozen=True)
class MeanTerm:
    """Kind of term that is the batch mean of a value per example.

    Attributes:
        per_example: function of the evidence and the options that returns the values before the mean, [B].
        sign: sign of the term in the loss.
    """

    per_example: Callable[..., Tensor]
    sign: int = 1

    @property
    def function(self) -> Callable[..., object]:
        return self.per_example

    def bind(self, latents: Latents, examples: Examples | None, options: Mapping[str, object]) -> Term:
        return _MeanOf(self.per_example, self.sign, options)


@dataclass(frozen=True)
class LatentsTerm:
    """Kind of term whose function takes the latents and returns a ``Term``."""

    function: Callable[..., Term]

    def bind(self, latents: Latents, examples: Examples | None, options: Mapping[str, object]) -> Term:
        return self.function(latents, **options)


@dataclass(frozen=True)
class ExamplesTerm:
    """Kind of term with a network that reads examples: its function takes the latents and an ``Examples``."""

    function: Callable[..., Term]

    def bind(self, latents: Latents, examples: Examples | None, options: Mapping[str, object]) -> Term:
        assert examples is not None, "this term has a network that reads examples"
        return self.function(latents, examples, **options)


def kind_of(made: Kind | Callable[..., Term]) -> Kind:
    """Return the kind of what a term's file defines; a function without a decorator is of the kind ``LatentsTerm``."""
    return made if isinstance(made, MeanTerm | ExamplesTerm) else LatentsTerm(made)  # type: ignore[arg-type]


def on_examples(function: Callable[..., Term]) -> ExamplesTerm:
    """Decorate ``function`` as a term with a network that reads examples."""
    return ExamplesTerm(function)


def batch_mean(per_example: Callable[..., Tensor]) -> MeanTerm:
    """Decorate ``per_example`` as a term: its mean over the batch, added to the loss."""
    return MeanTerm(per_example)


def rewarded_batch_mean(per_example: Callable[..., Tensor]) -> MeanTerm:
    """Decorate ``per_example`` as a reward: its mean over the batch, subtracted from the loss."""
    return MeanTerm(per_example, sign=-1)

"""Every prior of conf/prior as its file has it, and with other options: what the proofs of all priors run over."""

import inspect
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from hfvae_runner.latents.latents import Latents
from hfvae_runner.launch.composition import config_folder

NAMES = sorted(path.stem for path in (config_folder() / "prior").glob("*.yaml"))
EXAMPLES = torch.randn(50, 12, generator=torch.Generator().manual_seed(0)) * torch.linspace(3, 0.1, 12)


def made(name: str, latents: int = 2, **changed: object) -> Latents:
    """The prior that conf/prior/NAME.yaml spells out, with some of its options changed."""
    config = OmegaConf.create({"latents": latents, "prior": OmegaConf.load(config_folder() / "prior" / f"{name}.yaml")})
    spec: dict[str, Any] = OmegaConf.to_container(config, resolve=True)["prior"]
    unknown = changed.keys() - spec.keys()
    assert not unknown, f"prior={name} has no {unknown}"
    module, function = spec.pop("_target_").rsplit(".", 1)
    factory = getattr(import_module(module), function)
    about_data = {"n_classes": 4, "n_factors": 3, "examples": EXAMPLES}
    wanted = {key: value for key, value in about_data.items() if key in inspect.signature(factory).parameters}
    torch.manual_seed(0)
    built = factory(**(spec | changed), **wanted)
    assert isinstance(built, Latents)
    return built


@dataclass(frozen=True)
class Variant:
    """A prior with the options that differ from its file's.

    Attributes:
        moved: how far learned parameters are carried from where they start.
    """

    name: str
    latents: int = 2
    changed: dict[str, Any] = field(default_factory=dict)
    moved: float = 0.0

    def __str__(self) -> str:
        options = [f"{key}={value}" for key, value in {"latents": self.latents, **self.changed}.items()]
        return " ".join([self.name, *options, *(["moved"] if self.moved else [])])

    def __hash__(self) -> int:
        return hash(str(self))

    def build(self, dtype: torch.dtype = torch.float64) -> Latents:
        latents = made(self.name, self.latents, **self.changed).to(dtype)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in latents.parameters():
                parameter.add_(self.moved * torch.randn(parameter.shape, generator=generator))
        return latents


# Two factors in all, for the plane on which densities are integrated. The quantised prior has no density.
TWO_BLOCKS = {"two_groups", "codes_and_noise"}
AS_GIVEN = [Variant(name, 1 if name in TWO_BLOCKS else 2) for name in NAMES if name != "quantised"]
PLANE = [
    Variant("two_groups", 1, {"correlation": 0.6}),
    Variant("two_groups", 1, {"correlation": -0.9}),
    Variant("anisotropic", 2, {"variances": [4, 1], "scale": 0.5, "learned": False}),
    Variant("anisotropic", 2, {}, moved=0.5),
    Variant("student_t", 2, {"nu": 2.5, "learned": True}, moved=0.3),
    Variant("laplace", 2, {"scale": 0.3, "learned": True}, moved=0.3),
    Variant("generalised_normal", 2, {"exponent": 1.4, "scale": 2.0, "learned": True}, moved=0.3),
    Variant("generalised_normal", 2, {"exponent": 6.0}),
    Variant("mixture", 2, {"means": [[-1, 0.5], [1, 1], [0, -2]], "variance": 0.2, "weights": [0.2, 0.5, 0.3]}),
    Variant("mixture", 2, {"components": 3, "radius": 0.5, "variance": 0.2, "learned": True}, moved=0.3),
    Variant("sparse", 2, {"gamma": 0.3, "sigma": 0.2}),
    Variant("sparse", 2, {"gamma": 0.0}),
    Variant("sparse", 2, {"gamma": 1.0}),
    Variant("isa", 2, {"exponents": 1.3, "learned": True}, moved=0.3),
    Variant("isa", 2, {"exponents": 4.0, "root_exponent": 1.5, "scale": 0.5}),
    Variant("isa", 2, {"subspaces": 1}),
    Variant("isa", 2, {"exponents": 2.1}),
    Variant("lp_nested", 2, {"tree": [1, [1]], "exponents": 3.0}),
    Variant("flow", 2, {"steps": 6}, moved=0.5),
]
LARGER = [
    Variant("two_groups", 5, {"correlation": 0.8}),
    Variant("two_groups", 5, {"sizes": [5, 2]}),
    Variant("normal_concrete", 3, {"categories": [2, 5]}),
    Variant("codes_and_noise", 3, {"noise": 4, "categories": [2, 5]}),
    Variant("codes_and_noise", 3, {"noise": 0}),
    Variant("anisotropic", 10, {}, moved=0.5),
    Variant("student_t", 3, {"learned": True}, moved=0.3),
    Variant("isa", 10, {"learned": True}, moved=0.3),
    Variant("isa", 7, {"subspaces": [1, 3, 3], "exponents": [2.0, 1.4, 3.0], "learned": True}, moved=0.3),
    Variant("isa", 6, {"subspaces": [2, 2, 2], "exponents": [2.1, 1.4, 2.1]}),
    Variant("mixture", 10, {"learned": True}, moved=0.3),
    Variant("mixture", 5, {"components": 3, "radius": 2.0, "weights": [0.2, 0.5, 0.3]}),
    Variant("lp_nested", 3, {"tree": [1, [2]]}),
    Variant("lp_nested", 9, {"tree": [2, [1, [2]], [1, [2]], 1], "exponents": [3.0, 1.5, 1.8, 2.5], "learned": True}),
    Variant("flow", 4, {"steps": 8}, moved=0.3),
]
EVERY = AS_GIVEN + PLANE + LARGER


@cache
def built(variant: Variant) -> Latents:
    """The variant in float64, made once: not to be changed."""
    return variant.build()


def on_the_plane(variant: Variant) -> bool:
    """Whether it has two continuous factors."""
    latents = built(variant)
    return len(latents.factor_names) == 2 and not any(block.discrete for block in latents.blocks)


def draw(latents: Latents, count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Draws from the prior without gradients, [count, C_g] a block, with whole categories."""
    generator = torch.Generator().manual_seed(seed)
    return [z.detach() for z in latents.prior_sample(latents.prior_noise(count, generator, dtype), hard=True)]

"""Every file of conf/ composes, resolves and parses, and the order of the groups holds."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
import yaml
from launching import resolved

from hfvae_runner.config import schema, stored
from hfvae_runner.launch.composition import config_folder

pytestmark = pytest.mark.usefixtures("workplace")

CHOICES = sorted(
    f"{'+' if path.parent.name == 'experiment' else ''}{path.parent.name}={path.stem}"
    for path in config_folder().glob("*/*.yaml")
)


def together() -> Iterator[tuple[str, ...]]:
    """Every choice once: those of a preset and of a divergence alone, the others beside one of each other group."""
    groups: dict[str, list[str]] = {}
    for choice in CHOICES:
        groups.setdefault(choice.partition("=")[0], []).append(choice)
    yield from ((choice,) for choice in groups.pop("+experiment"))
    # The objective that brings such a group along.
    yield from (("objective=alpha_beta", choice) for choice in groups.pop("divergence"))
    yield from (tuple(filter(None, choices)) for choices in zip_longest(*groups.values()))


@pytest.mark.parametrize("choices", list(together()), ids=" ".join)
def test_every_choice_parses(choices: tuple[str, ...]) -> None:
    typed = resolved(*choices)
    config = schema.parse(typed)
    for choice in choices:
        group, name = choice.lstrip("+").split("=")
        assert config.choices.get(group, name) == name
    # A folder with this config is opened: it names functions of ours only.
    assert stored.guarded(typed, Path("."), stored.NOTHING) == {k: v for k, v in typed.items() if k != "trust"}


def test_there_are_choices() -> None:
    assert {choice for choices in together() for choice in choices} == set(CHOICES)
    assert {"dataset=digits", "model=mlp_mnist", "objective=hfvae", "prior=normal_concrete"} <= set(CHOICES)


def test_a_data_set_brings_its_model_and_the_user_has_the_last_word() -> None:
    assert schema.parse(resolved("dataset=pinwheel")).choices["model"] == "mlp_pinwheel"
    assert schema.parse(resolved("model=mlp_mnist", "dataset=pinwheel")).choices["model"] == "mlp_mnist"
    assert schema.parse(resolved("dataset=pinwheel")).choices["likelihood"] == "gaussian"
    assert schema.parse(resolved("likelihood=laplace", "dataset=pinwheel")).choices["likelihood"] == "laplace"
    assert schema.parse(resolved("dataset=pinwheel", "batch_size=7")).batch_size == 7


@pytest.mark.parametrize("dataset", ["digits", "xysquares", "shapes3d", "dsprites_rendered"])
@pytest.mark.parametrize(("objective", "prior"), [("qlae", "quantised"), ("isa_vae", "isa")])
def test_the_prior_of_an_objective_replaces_the_data_sets(objective: str, prior: str, dataset: str) -> None:
    choices = (f"objective={objective}", f"dataset={dataset}")
    assert schema.parse(resolved(*choices)).choices["prior"] == prior
    assert schema.parse(resolved(*choices, "prior=normal", "latents=3")).choices["prior"] == "normal"


def test_the_data_set_and_then_the_objective_are_the_last_groups() -> None:
    defaults = yaml.safe_load((config_folder() / "config.yaml").read_text())["defaults"]
    groups = [next(iter(entry)) for entry in defaults if isinstance(entry, dict)]
    groups = [group for group in groups if not group.startswith("override ")]
    assert defaults[0] == "_self_"
    assert groups == ["model", "likelihood", "prior", "train", "metrics", "trackers", "dataset", "objective"]


def test_data_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolved()["data_root"] == "data"
    monkeypatch.setenv("HFVAE_DATA", "/elsewhere")
    assert resolved()["data_root"] == "/elsewhere"


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
@pytest.mark.parametrize("scale", ["predicted", "learned", 0.25])
def test_a_scale_is_a_word_or_a_number(likelihood: str, scale: object) -> None:
    config = schema.parse(resolved(f"likelihood={likelihood}", f"likelihood.scale={scale}"))
    assert config.likelihood["scale"] == scale


def test_isa_vae_brings_its_prior_and_the_user_has_the_last_word() -> None:
    assert schema.parse(resolved("objective=isa_vae")).choices["prior"] == "isa"
    assert schema.parse(resolved("objective=isa_vae", "prior=student_t")).choices["prior"] == "student_t"


def test_the_divergence_is_a_choice_with_options_of_its_own() -> None:
    config = schema.parse(resolved("objective=alpha_beta", "divergence=mmd", "kernel=imq_printed", "alpha=3"))
    assert config.choices["divergence"] == "mmd"
    assert config.knobs == {"alpha": 3, "beta": 1.0, "kernel": "imq_printed", "statistic": "u"}
    penalty = config.objective.terms["divergence"]
    assert (penalty.term, penalty.weight(0)) == ("mmd", 3)
    assert penalty.options == {"kernel": "imq_printed", "statistic": "u"}
    plain = schema.parse(resolved("objective=alpha_beta"))
    assert plain.choices["divergence"] == "inclusive_kl"
    assert plain.knobs == {"alpha": 1.0, "beta": 1.0}
    exclusive = schema.parse(resolved("objective=alpha_beta", "divergence=exclusive_kl"))
    assert exclusive.objective.terms["divergence"].term == "marginal_kl"
    assert "divergence" not in schema.parse(resolved("objective=vae")).choices


def test_a_knob_reaches_its_term() -> None:
    config = schema.parse(resolved("objective=hfvae", "beta={linear: [0, 4, 10]}", "gamma=3"))
    assert config.objective.terms["group_tc"].weight(5) == 2
    assert config.objective.terms["within_tc"].weight(5) == 3
    assert config.knobs["gamma"] == 3

"""Every two of objective, prior and likelihood together, as the files of conf/ have them; by name, every three.

Each takes three steps without a NaN, or is refused with exit code 2. What is refused stands here: all else must run, a
file that is new too.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from launching import refused, resolved

from hfvae_runner.config import schema
from hfvae_runner.config.names import Values
from hfvae_runner.config.schema import Config
from hfvae_runner.errors import ConfigError
from hfvae_runner.launch.composition import config_folder
from hfvae_runner.models.likelihoods import FAMILIES
from hfvae_runner.runs import assembly
from hfvae_runner.training import step as steps

pytestmark = pytest.mark.usefixtures("one_thread")


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))


# An objective, or one with its divergence: "alpha_beta mmd".
OBJECTIVES = [name for name in names("objective") if name != "alpha_beta"]
OBJECTIVES += [f"alpha_beta {divergence}" for divergence in names("divergence")]
PRIORS = names("prior")
LIKELIHOODS = [name for name in names("likelihood") if name != "auto"]  # which is one of these
LEARNED = [name for name in PRIORS if "\nlearned: " in (config_folder() / "prior" / f"{name}.yaml").read_text()]

# What an objective asks of the prior.
NEEDS_DISCRETE = {"joint_vae"}
NEEDS_QUANTISED = {"qlae"}
NEEDS_NO_DENSITY = {"qlae", "wae_mmd"}
NEEDS_FACTORS = {"hfvae", "kim_chen_table1"}
NEEDS_PAIRS = {"ada_gvae", "ada_ml_vae"}
PAIRS = {"column": "label"}
DRAWS_FROM_PRIOR = {"alpha_beta inclusive_kl", "alpha_beta mmd", "info_vae", "infogan", "wae_mmd"}
GENERATES = {"infogan"}  # examples, whose number of words no decoder models
# What priors have.
WITH_DISCRETE = {"normal_concrete"}
WITHOUT_DENSITY = {"quantised"}
WITHOUT_FACTORS = {"isa", "lp_nested"}
LEARNED_DRAWS_CARRY_NO_GRADIENT = {"generalised_normal", "isa", "lp_nested", "student_t"}
# What takes long and is of the same kind when it is smaller.
SMALLER_PRIOR = {"flow": {"steps": 3}}

FITTING: dict[Values, set[str]] = {
    "unit_interval": {"bernoulli", "continuous_bernoulli", "gaussian", "laplace"},
    "real": {"gaussian", "laplace"},
    "counts": {"categorical", "multinomial"},
}


def fits(objective: str, prior: str, *, learned: bool = False) -> bool:
    """Whether the prior has what the objective needs."""
    if objective in NEEDS_DISCRETE and prior not in WITH_DISCRETE:
        return False
    if objective in NEEDS_QUANTISED or prior in WITHOUT_DENSITY:
        return objective in NEEDS_NO_DENSITY and (prior in WITHOUT_DENSITY or objective not in NEEDS_QUANTISED)
    if objective in NEEDS_FACTORS and prior in WITHOUT_FACTORS:
        return False
    return not (learned and objective in DRAWS_FROM_PRIOR and prior in LEARNED_DRAWS_CARRY_NO_GRADIENT)


@pytest.fixture(scope="module", autouse=True)
def _no_hydra_afterwards() -> Iterator[None]:
    yield
    HydraConfig.instance().cfg = None


@cache
def composed(*overrides: str) -> Mapping[str, Any]:
    return resolved(*overrides)


def combined(
    objective: str, prior: str, likelihood: str, values: Values, /, **sections: Mapping[str, object]
) -> Config:
    """The config of a run, from those of its parts: composing each of them anew would take minutes.

    Args:
        sections: values that differ in a section, such as ``prior={"learned": True}``.
    """
    name, *divergence = objective.split()
    base = composed(f"objective={name}", *(f"divergence={each}" for each in divergence))
    spec = {
        **base,
        "prior": {**composed(f"prior={prior}", "latents=4")["prior"], **SMALLER_PRIOR.get(prior, {})},
        "likelihood": composed(f"likelihood={likelihood}")["likelihood"],
        "model": {"_target_": "tiny_parts.networks"},
        "dataset": {"_target_": f"tiny_parts.{values}", "pairs": PAIRS if name in NEEDS_PAIRS else None},
        "choices": {**base["choices"], "prior": prior, "likelihood": likelihood, "dataset": values},
        "latents": 4,
        "batch_size": 8,
        "steps": 3,
        "device": "cpu",
    }
    if name == "factor_vae":
        critic = {**base["objective"]["terms"]["critic_total_correlation"], "hidden": 8}
        terms = {**base["objective"]["terms"], "critic_total_correlation": critic}
        spec["objective"] = {**base["objective"], "terms": terms}
    for section, changes in sections.items():
        spec[section] = {**spec[section], **changes}
    return schema.parse(spec)


def three_steps(config: Config) -> None:
    run = assembly.assemble(config)
    generator = torch.Generator().manual_seed(0)
    step = steps.step_of(run.loss, assembly.optimizer_of(run))
    for number in range(3):
        batch = run.batches.at(number)
        noise = run.model.latents.noise(len(batch.x), generator)
        own_noise = run.objective.noise(len(batch.x), generator)
        loss, values = step(*batch, noise, own_noise, run.objective.knobs(number, run.device))
        for name, value in {**values, "loss": loss}.items():
            assert value.isfinite().all(), f"{name} at step {number + 1}"
    for name, parameter in [*run.model.named_parameters(), *run.objective.named_parameters()]:
        assert parameter.isfinite().all(), name


def takes_three_steps_or_is_refused(config: Config, *, allowed: bool) -> None:
    if allowed:
        three_steps(config)
        return
    with pytest.raises(ConfigError, match="does not fit") as caught:
        assembly.assemble(config)
    assert caught.value.exit_code == 2


# The likelihood moves on with both, so that each meets every objective and every prior.
PAIRWISE = [
    (objective, prior, LIKELIHOODS[(i + j) % len(LIKELIHOODS)])
    for i, objective in enumerate(OBJECTIVES)
    for j, prior in enumerate(PRIORS)
]


@pytest.mark.parametrize(("objective", "prior", "likelihood"), PAIRWISE)
def test_every_two_of_objective_prior_and_likelihood(objective: str, prior: str, likelihood: str) -> None:
    combine(objective, prior, likelihood)


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_combination(objective: str, prior: str, likelihood: str) -> None:
    combine(objective, prior, likelihood)


def combine(objective: str, prior: str, likelihood: str) -> None:
    values: Values = "counts" if likelihood in FITTING["counts"] else "unit_interval"
    config = combined(objective, prior, likelihood, values)
    generated = objective in GENERATES and values == "counts"
    takes_three_steps_or_is_refused(config, allowed=fits(objective, prior) and not generated)


@pytest.mark.parametrize("prior", LEARNED)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_with_every_learned_prior(objective: str, prior: str) -> None:
    config = combined(objective, prior, "gaussian", "real", prior={"learned": True})
    takes_three_steps_or_is_refused(config, allowed=fits(objective, prior, learned=True))


def with_discrete(objective: str, /, **sections: Mapping[str, object]) -> Config:
    """The config of a run with a discrete variable: alone for the objective, or beside what it needs."""
    if objective in NEEDS_QUANTISED:
        sections["prior"] = {"categories": 3}
        return combined(objective, "quantised", "bernoulli", "unit_interval", **sections)
    return combined(objective, "normal_concrete", "bernoulli", "unit_interval", **sections)


@pytest.mark.parametrize("density", schema.DISCRETE_DENSITIES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_with_every_density_of_a_discrete_variable(objective: str, density: str) -> None:
    three_steps(with_discrete(objective, objective={"discrete_density": density}))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_with_some_labels_given(objective: str) -> None:
    three_steps(with_discrete(objective, supervision={"fraction": 0.5}))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_with_some_factors_given(objective: str) -> None:
    data = {"_target_": "tiny_parts.with_factors"}
    three_steps(with_discrete(objective, supervision={"factor_examples": 5}, dataset=data))


def test_a_quantised_block_beside_a_normal_and_a_discrete_one() -> None:
    """JointVAE's objective leaves the quantised block alone, whose two losses are added to it."""
    base = composed("objective=joint_vae")["objective"]
    terms = {**base["terms"], "quantisation": 0.01, "commitment": 0.01}
    beside = {"continuous": 2, "categories": [3, 2]}
    three_steps(
        combined(
            "joint_vae", "quantised", "bernoulli", "unit_interval", prior=beside, objective={**base, "terms": terms}
        )
    )


@pytest.mark.parametrize("prior", sorted(set(PRIORS) - WITH_DISCRETE))
def test_labels_need_a_discrete_variable(prior: str) -> None:
    with pytest.raises(ConfigError, match=f"supervision.fraction=0.5: prior={prior} has 0 discrete variables"):
        assembly.assemble(combined("vae", prior, "bernoulli", "unit_interval", supervision={"fraction": 0.5}))


@pytest.mark.parametrize("values", FITTING)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_likelihood_fits_the_data_s_values_or_is_refused(likelihood: str, values: Values) -> None:
    allowed = likelihood in FITTING[values]
    takes_three_steps_or_is_refused(combined("vae", "normal", likelihood, values), allowed=allowed)


def test_nothing_is_left_out() -> None:
    """The table names nothing that does not exist, and every likelihood fits some data."""
    named = (
        GENERATES | NEEDS_DISCRETE | NEEDS_FACTORS | NEEDS_PAIRS | DRAWS_FROM_PRIOR | NEEDS_QUANTISED | NEEDS_NO_DENSITY
    )
    assert named <= set(OBJECTIVES)
    assert WITH_DISCRETE | WITHOUT_FACTORS | WITHOUT_DENSITY | SMALLER_PRIOR.keys() <= set(PRIORS)
    assert set(LEARNED) >= LEARNED_DRAWS_CARRY_NO_GRADIENT
    assert min(len(OBJECTIVES), len(PRIORS)) >= len(LIKELIHOODS)
    assert set().union(*FITTING.values()) == set(LIKELIHOODS) == {family.name for family in FAMILIES}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective=hfvae", "prior=isa"], "no marginals per factor, only at the level 'block'"),
        (["objective=joint_vae", "prior=normal"], "no discrete block among the prior's blocks (z)"),
        (["objective=beta_tcvae", "gamma=2", "prior=isa"], "no marginals per factor"),
        (["objective=wae_mmd", "prior=isa", "prior.learned=true"], "no gradient passes through its draws"),
        (["objective=alpha_beta", "prior=student_t", "prior.learned=true"], "no gradient passes through its draws"),
        (
            ["objective=beta_vae", "prior=quantised"],
            "block z is quantised, and its posterior is a point",
        ),
        (["objective=qlae", "prior=normal"], "prior.size=null: expected a whole number from 1 on, such as latents=10"),
        (["objective=qlae", "prior=normal", "latents=4"], "no quantised block among the prior's blocks (z)"),
        (["objective=vae", "likelihood=multinomial"], "expected likelihood=bernoulli"),
        (["objective=ada_gvae"], "no ground-truth factors; expected dataset.pairs={column: label}"),
        (["objective=ada_ml_vae", "dataset.pairs=null"], "does not fit dataset=digits: it averages the posteriors"),
        (["objective=ada_gvae", "dataset.pairs={column: label}", "prior=normal", "latents=1"], "expected two or more"),
    ],
)
@pytest.mark.usefixtures("workplace")
def test_the_command_line_refuses_with_exit_code_2(
    overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, "image_size=8", "device=cpu", *overrides)
    assert message in line

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from hfvae_runner.config import schedules, schema
from hfvae_runner.errors import ConfigError

PLAIN: dict[str, Any] = {
    "seed": 0,
    "device": "auto",
    "epochs": 3,
    "steps": None,
    "batch_size": 64,
    "lr": 1e-3,
    "data_root": "data",
    "image_size": None,
    "latents": 10,
    "threads": None,
    "precision": "bf16",
    "on_divergence": "stop",
    "resume": None,
    "init_from": None,
    "optimized_metric": None,
    "debug": False,
    "choices": {"dataset": "digits", "model": "m", "likelihood": "l", "prior": "p", "objective": "hfvae"},
    "beta": 12.0,
    "dataset": {"_target_": "package.dataset", "image_size": None},
    "model": {"_target_": "package.model", "nested": {"anything": [1, 2]}},
    "likelihood": {"_target_": "package.likelihood", "scale": 0.1},
    "prior": {"_target_": "package.prior"},
    "objective": {
        "estimator": "stratified",
        "discrete_density": "argmax",
        "terms": {"reconstruction": 1, "kl": 12.0},
    },
    "supervision": {
        "fraction": 0.1,
        "weight": 0.1,
        "factor_examples": 100,
        "factor_weight": {"linear": [0, 64, 1000]},
        "factors": {"x": "z[0]"},
    },
    "train": {
        "betas": [0.5, 0.999],
        "amsgrad": True,
        "prior_lr": None,
        "log_every": 50,
        "restarts": 3,
        "restart_factor": 0.5,
        "progress": True,
    },
    "runtime": {"compile": True, "graph": False},
    "checkpoints": {"every": 1000, "keep": 2},
    "trackers": {"tensorboard": {"_target_": "package.tensorboard"}},
    "metrics": {
        "exact_limit": 2e9,
        "batch_size": 1024,
        "figures": True,
        "every": None,
        "mig": {"_target_": "package.mig", "samples": 10},
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    config = deepcopy(PLAIN)
    section = config
    *parents, key = path.split(".")
    for parent in parents:
        section = section[parent]
    section[key] = value
    return config


def test_every_value_arrives() -> None:
    config = schema.parse(PLAIN)
    assert (config.seed, config.epochs, config.steps, config.batch_size, config.lr) == (0, 3, None, 64, 1e-3)
    assert config.choices == {"dataset": "digits", "model": "m", "likelihood": "l", "prior": "p", "objective": "hfvae"}
    assert config.knobs == {"beta": 12.0}
    assert config.likelihood["scale"] == 0.1
    assert config.model["nested"] == {"anything": [1, 2]}
    assert config.objective.terms["kl"].weight(0) == 12.0
    weight = schedules.parse({"linear": [0, 64, 1000]}, "")
    assert config.supervision == schema.SupervisionConfig(0.1, 0.1, 100, weight, {"x": "z[0]"})
    assert config.train == schema.TrainConfig((0.5, 0.999), True, None, 50, 3, 0.5, True, 0.0)
    assert config.checkpoints == schema.CheckpointsConfig(1000, 2)
    assert (config.precision, config.runtime) == ("bf16", schema.RuntimeConfig(compile=True, graph=False))
    assert config.on_divergence == "stop"
    assert config.metrics == schema.MetricsConfig(
        2e9, 1024, True, None, {"mig": {"_target_": "package.mig", "samples": 10}}
    )
    assert config.resolved == PLAIN


def test_a_config_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        schema.parse(PLAIN).seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "path", ["seed", "steps", "epochs", "batch_size", "latents", "checkpoints.every", "metrics.every"]
)
def test_a_number_without_a_fraction_is_a_whole_number(path: str) -> None:
    config = schema.parse(changed(path, 1e3))
    value: object = config.resolved
    for key in path.split("."):
        assert isinstance(value, dict)
        value = value[key]
    assert (value, type(value)) == (1000, int)
    with pytest.raises(ConfigError, match=f"{path}=1000.5"):
        schema.parse(changed(path, 1000.5))


def test_whole_numbers_are_found_at_any_depth() -> None:
    config = schema.parse(changed("beta", {"linear": [0, 12.5, 2e3]}))
    assert config.resolved["beta"] == {"linear": [0, 12.5, 2000]}
    assert isinstance(config.resolved["beta"]["linear"][2], int)
    assert schema.parse(changed("lr", 1.0)).lr == 1.0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("device", "cuda:1"),
        ("epochs", None),
        ("resume", "auto"),
        ("lr", 1),
        ("metrics.exact_limit", 10),
        ("seed", 2**63 - 1),
        ("threads", 1),
        ("beta", {"linear": [0, 4, 1000]}),
        ("beta", True),
        ("steps", 1e3),
        ("train.log_every", 3.0),
        ("discrete_density", "enumerate"),
    ],
)
def test_accepted(path: str, value: object) -> None:
    config = changed(path, value)
    config["steps"] = 10
    schema.parse(config)


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("seed", True, ["seed=true", "whole number from 0"]),
        ("seed", -1, ["seed=-1", "whole number from 0"]),
        ("seed", 2**63, ["to 9223372036854775807"]),
        ("device", "cdua", ["device='cdua'", "cuda:N", "did you mean 'cuda'"]),
        ("device", "cuda:x", ["device='cuda:x'"]),
        ("epochs", 1.5, ["epochs=1.5", "whole number from 1", "null"]),
        ("epochs", 0, ["epochs=0"]),
        ("epochs", None, ["epochs and steps are both null"]),
        ("steps", "many", ["steps='many'"]),
        ("steps", "4", ["steps='4'", "whole number"]),
        ("steps", float("inf"), ["steps=inf", "whole number"]),
        ("batch_size", 1, ["batch_size=1", "from 2"]),
        ("batch_size", None, ["batch_size=null"]),
        ("lr", "", ["lr=''", "above 0"]),
        ("lr", 0, ["lr=0"]),
        ("lr", float("inf"), ["lr=inf"]),
        ("lr", float("nan"), ["lr=nan"]),
        ("data_root", None, ["data_root=null", "text"]),
        ("image_size", 0, ["image_size=0"]),
        ("latents", 0, ["latents=0"]),
        ("threads", 0, ["threads=0"]),
        ("threads", 10**6, ["threads=1000000", "from 1 to 1024, or null"]),
        ("precision", "bf6", ["precision='bf6'", "fp32, tf32, bf16", "did you mean 'bf16'"]),
        ("runtime.compile", "yes", ["runtime.compile='yes'", "true or false"]),
        ("runtime.graph", 1, ["runtime.graph=1", "true or false"]),
        ("runtime.grahp", True, ["runtime.grahp", "compile, graph", "did you mean 'graph'"]),
        ("on_divergence", "retry", ["on_divergence='retry'", "stop, restart"]),
        ("train.restart_factor", 1, ["train.restart_factor=1", "below 1"]),
        ("train.restarts", 0, ["train.restarts=0"]),
        ("checkpoints.keep", 0, ["checkpoints.keep=0"]),
        ("checkpoints.evry", 5, ["checkpoints.evry", "did you mean 'every'"]),
        ("resume", "", ["resume=''"]),
        ("debug", 1, ["debug=1", "true or false"]),
        ("choices.modle", "m", ["choices.modle: unknown key", "did you mean 'model'"]),
        ("optimized_metric", "tset.mig", ["optimized_metric='tset.mig'", "test.NAME", "did you mean 'test'"]),
        ("choices.objective", None, ["choices.objective=null", "a single choice"]),
        ("beta", "four", ["beta='four'", "a number or a schedule"]),
        ("beta", "", ["beta=''"]),
        ("beta", None, ["beta=null"]),
        ("beta", float("nan"), ["beta: nan"]),
        ("beta", {"linaer": [0, 4, 10]}, ["beta: unknown schedule 'linaer'", "did you mean 'linear'"]),
        ("discrete_density", "argmx", ["discrete_density='argmx'", "did you mean 'argmax'"]),
        ("objective.estimator", "stratifed", ["objective.estimator='stratifed'", "did you mean 'stratified'"]),
        ("objective.weights", {}, ["objective.weights: unknown key", "estimator, discrete_density, terms"]),
        ("objective.terms", None, ["objective.terms=null"]),
        ("objective.terms.group_ct", 1, ["unknown term 'group_ct'"]),
        ("supervision.fraction", 1.5, ["supervision.fraction=1.5", "a number from 0 to 1"]),
        ("supervision.weight", -1, ["supervision.weight=-1", "a number from 0 on"]),
        ("supervision.weight", float("inf"), ["supervision.weight=inf"]),
        ("supervision.factor_examples", 0, ["supervision.factor_examples=0", "a whole number from 1 on"]),
        ("supervision.factor_weight", {"linaer": 1}, ["supervision.factor_weight: unknown schedule 'linaer'"]),
        ("supervision.factors", 3, ["supervision.factors=3", "a list of factors such as [scale, x]"]),
        ("train.betas", [0.9], ["train.betas=[0.9]", "two numbers from 0 to below 1"]),
        ("train.betas", [0.9, 1], ["train.betas=[0.9, 1]"]),
        ("train.prior_lr", 0, ["train.prior_lr=0", "above 0"]),
        ("train.amsgrad", 1, ["train.amsgrad=1"]),
        ("anchors", [], ["anchors=[]", "a list of block names"]),
        ("anchors", [1], ["anchors=[1]"]),
        ("train.log_evry", 3, ["train.log_evry", "did you mean 'log_every'"]),
        ("train.log_every", 0, ["train.log_every=0"]),
        ("train.progress", "no", ["train.progress='no'"]),
        ("train", "default", ["train='default'", "a section"]),
        ("trackers", ["tensorboard"], ["trackers=['tensorboard']", "a section"]),
        ("trackers.tensorboard", {"folder": "x"}, ["trackers.tensorboard._target_ is missing", "dotted path"]),
        ("metrics.batch_size", 0, ["metrics.batch_size=0"]),
        ("metrics.exact_limit", -1, ["metrics.exact_limit=-1"]),
        ("dataset", None, ["dataset=null"]),
        ("model", {"width": 3}, ["model._target_ is missing", "dotted path"]),
        ("likelihood", "bernoulli", ["likelihood='bernoulli'", "a section"]),
        ("prior._target_", "prior", ["prior._target_='prior'"]),
        ("prior._target_", "a b.c", ["prior._target_='a b.c'"]),
    ],
)
def test_refused(path: str, value: object, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        schema.parse(changed(path, value))
    for part in parts:
        assert part in str(refusal.value)


@pytest.mark.parametrize(
    "path", ["seed", "lr", "dataset", "train", "checkpoints.keep", "choices.model", "objective.terms"]
)
def test_a_missing_key_is_named(path: str) -> None:
    config = deepcopy(PLAIN)
    section: Any = config
    *parents, key = path.split(".")
    for parent in parents:
        section = section[parent]
    del section[key]
    with pytest.raises(ConfigError, match=path):
        schema.parse(config)


def test_a_whole_number_may_be_written_as_a_float() -> None:
    config = schema.parse(changed("batch_size", 1e3))
    assert (config.batch_size, type(config.batch_size)) == (1000, int)


def test_a_misspelt_key_is_named_before_the_one_that_is_missing() -> None:
    config = changed("checkpoints.evry", 5)
    del config["checkpoints"]["every"]
    with pytest.raises(ConfigError, match=r"checkpoints\.evry: unknown key.*did you mean 'every'"):
        schema.parse(config)


def test_the_input_is_not_changed() -> None:
    before: Mapping[str, object] = deepcopy(PLAIN)
    schema.parse(PLAIN)
    assert before == PLAIN

"""Configs that came with a folder: how far they are read, and what they may name."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from hfvae_runner.config import stored
from hfvae_runner.config.stored import Allowed, check_destinations, guarded, installed, targets
from hfvae_runner.errors import CheckpointError, ConfigError
from hfvae_runner.storage import run_folder

HERE = Path("run/config.yaml")
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 40))


def own(**sections: object) -> dict[str, object]:
    """A stored config that names installed functions, with other sections in place."""
    config: dict[str, object] = {
        "dataset": {"_target_": "hfvae_runner.data.digits.digits"},
        "model": {"_target_": "hfvae_runner.models.networks.mlp_mnist.mlp_mnist"},
        "metrics": {"figures": True, "hoyer": {"_target_": "hfvae_runner.metrics.hoyer.hoyer_sparsity"}},
        "trackers": {},
    }
    return config | sections


def refusal(config: dict[str, object], allowed: Allowed = stored.NOTHING) -> str:
    with pytest.raises(ConfigError) as refused:
        guarded(config, HERE, allowed)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# The table


@pytest.mark.parametrize("kind", [*stored.KINDS, *stored.NAMED_KINDS])
def test_the_table_is_that_of_conf(kind: str) -> None:
    files = (stored.config_folder() / kind).glob("*.yaml")
    spelt = {line.split("_target_:")[1].strip() for file in files for line in file.read_text().splitlines()
             if line.strip().startswith("_target_:")}  # fmt: skip
    assert set(installed(kind)) == spelt
    assert spelt


def test_a_function_of_ours_is_found_by_its_name_in_whatever_module_it_was() -> None:
    """As in the folder of an earlier version."""
    config = own(
        dataset={"_target_": "hfvae_runner.attic.digits", "normalised": True},
        metrics={"hoyer": {"_target_": "hfvae_runner.hoyer_sparsity"}, "figures": False},
    )
    assert guarded(config, HERE, stored.NOTHING) == config | {
        "dataset": {"_target_": "hfvae_runner.data.digits.digits", "normalised": True},
        "metrics": {"hoyer": {"_target_": "hfvae_runner.metrics.hoyer.hoyer_sparsity"}, "figures": False},
    }


@pytest.mark.parametrize(
    "target", ["attic.digits", "hfvae_runner.attic.hoyer_sparsity", "hfvae_runner", "hfvae_runner."]
)
def test_a_name_of_another_package_or_kind_is_no_function_of_ours(target: str) -> None:
    assert f"dataset._target_={target!r}: expected a function" in refusal(own(dataset={"_target_": target}))


# What is refused


@pytest.mark.parametrize(
    ("config", "where", "kind"),
    [
        (own(dataset={"_target_": "evil.f"}), "dataset._target_", "dataset"),
        (own(model={"_target_": "evil.f"}), "model._target_", "model"),
        (own(likelihood={"_target_": "evil.f"}), "likelihood._target_", "likelihood"),
        (own(prior={"_target_": "evil.f"}), "prior._target_", "prior"),
        (own(metrics={"mine": {"_target_": "evil.f"}}), "metrics.mine._target_", "metrics"),
        (own(trackers={"mine": {"_target_": "evil.f"}}), "trackers.mine._target_", "trackers"),
        (own(model={"_target_": "hfvae_runner.models.networks.mlp_mnist.mlp_mnist", "a": [{"_target_": "evil.f"}]}),
         "model.a.0._target_", None),
        (own(metrics={"_target_": "evil.f"}), "metrics._target_", None),
        (own(metrics={"a": {"b": {"_target_": "evil.f"}}}), "metrics.a.b._target_", None),
        (own(objective={"terms": {"kl": {"_target_": "evil.f"}}}), "objective.terms.kl._target_", None),
        (own(train={"_target_": "evil.f"}), "train._target_", None),
        (own(hydra={"launcher": {"_target_": "evil.f"}}), "hydra.launcher._target_", None),
        (own(_target_="evil.f"), "_target_", None),
    ],
)  # fmt: skip
def test_no_other_function_at_any_depth(config: dict[str, object], where: str, kind: str | None) -> None:
    line = refusal(config)
    assert f"run/config.yaml: {where}='evil.f': expected " in line
    assert "trust=[evil]" in line
    plus = "+" if kind in stored.NAMED_KINDS else ""
    assert f"type {plus}{where}=evil.f or" in line
    assert (f"the files of conf/{kind} name" if kind else "no function there") in line


def test_a_function_of_another_kind_is_refused() -> None:
    config = own(model={"_target_": "hfvae_runner.data.digits.digits"})
    assert "model._target_='hfvae_runner.data.digits.digits'" in refusal(config)
    inner = own(objective={"a": {"_target_": "hfvae_runner.data.digits.digits"}})
    assert "objective.a._target_" in refusal(inner)
    assert "train._target_='hfvae_runner.models.networks.mlp_mnist.mlp_mnist'" in refusal(
        own(train={"_target_": "hfvae_runner.models.networks.mlp_mnist.mlp_mnist"})
    )


@pytest.mark.parametrize(
    "target", ["hfvae_runner.data.digits.", "hfvae_runner.data.digits.load_digits", "os.system", None, 3, ["a"]]
)
def test_only_the_very_names_of_the_table(target: object) -> None:
    assert f"dataset._target_={target!r}" in refusal(own(dataset={"_target_": target}))


def test_the_nearest_installed_function_is_named() -> None:
    line = refusal(own(dataset={"_target_": "hfvae_runner.data.digits.digit"}))
    assert line.endswith("; did you mean 'hfvae_runner.data.digits.digits'?")


# What a person allows


@pytest.mark.parametrize("trust", [["evil"], ["other", "evil"]])
def test_a_trusted_module(trust: list[str]) -> None:
    for target in ("evil.f", "evil.inner.f"):
        config = own(dataset={"_target_": target}, model={"_target_": target, "a": {"_target_": target}})
        assert guarded(config, HERE, Allowed.by(trust, {})) == config


@pytest.mark.parametrize("target", ["evil2.f", "an.evil.f", "evil"])
def test_trust_is_of_whole_modules(target: str) -> None:
    refusal(own(dataset={"_target_": target}), Allowed.by(["evil"], {}))


def test_what_is_typed_again_is_typed_for_its_kind() -> None:
    allowed = Allowed.by((), {"dataset": {"_target_": "evil.f"}})
    assert guarded(own(dataset={"_target_": "evil.f"}), HERE, allowed)
    refusal(own(model={"_target_": "evil.f"}), allowed)
    refusal(own(dataset={"_target_": "evil.g"}), allowed)
    refusal(own(train={"_target_": "evil.f"}), allowed)
    named = Allowed.by((), {"metrics": {"mine": {"_target_": "evil.f"}}})
    assert guarded(own(metrics={"mine": {"_target_": "evil.f"}}), HERE, named)


def test_installed_functions_are_allowed_to_nobody_in_particular() -> None:
    """So that a config's data set, which is kept by what is allowed to it, is not read again for another model."""
    assert Allowed.by((), own()) == stored.NOTHING


def test_a_stored_trust_counts_for_nothing() -> None:
    config = own(trust=["evil"])
    assert guarded(config, HERE, stored.NOTHING) == own()
    refusal(config | {"dataset": {"_target_": "evil.f"}})


@pytest.mark.parametrize("value", ["evil", None, [1], ["a b"], [""], ["a..b"], {"a": 1}])
def test_trust_is_a_list_of_modules(value: object) -> None:
    with pytest.raises(ConfigError, match=r"expected a list of modules such as \[my_module\]"):
        stored.modules(value)


def test_targets_say_where_they_stand() -> None:
    config = {"model": {"_target_": "a.b", "c": [{"_target_": "d.e"}]}, "metrics": {"m": {"_target_": "f.g"}}}
    assert list(targets(config)) == [
        ("model", ("model",), "a.b"),
        (None, ("model", "c", 0), "d.e"),
        ("metrics", ("metrics", "m"), "f.g"),
    ]


# Where trackers send

MLFLOW = "hfvae_runner.trackers.mlflow.MLflow"
WANDB = "hfvae_runner.trackers.wandb.WandB"
OFFLINE = {"_target_": WANDB, "project": "p", "entity": None, "mode": "offline", "tags": ["t"]}


@pytest.mark.parametrize(
    ("section", "where"),
    [
        ({"mlflow": {"_target_": MLFLOW, "tracking_uri": "http://evil", "experiment": "e"}}, "mlflow.tracking_uri"),
        (
            {"x": {"_target_": MLFLOW, "tracking_uri": "sqlite:////home/u/.profile", "experiment": "e"}},
            "x.tracking_uri",
        ),
        ({"wandb": OFFLINE | {"mode": "online"}}, "wandb.mode"),
        ({"wandb": OFFLINE | {"entity": "them"}}, "wandb.entity"),
        ({"tensorboard": {"_target_": "hfvae_runner.trackers.tensorboard.TensorBoard", "to": "x"}}, "tensorboard.to"),
    ],
)
def test_a_stored_destination_is_typed_again_or_left_out(section: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError, match=rf"trackers\.{where}=.* expected that typed again, .*or trackers=\[\]") as no:
        check_destinations(own(trackers=section), HERE, ["steps"])
    assert "\n" not in str(no.value)
    for typed in (f"trackers.{where}", f"trackers.{where.partition('.')[0]}", "trackers"):
        check_destinations(own(trackers=section), HERE, ["steps", typed])


def test_what_stays_in_the_folder_goes_on() -> None:
    mlflow = {"_target_": MLFLOW, "tracking_uri": None, "experiment": "another"}
    board = {"_target_": "hfvae_runner.trackers.tensorboard.TensorBoard"}
    check_destinations(own(trackers={"wandb": OFFLINE, "mlflow": mlflow, "tensorboard": board}), HERE, [])


# Reading


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "holds more than 1000000 values"),
        (MERGED, "is not YAML: a merge key"),
        ("a: &a {b: *a}", "nested deeper than 40 times"),
        ("a: " + "[" * 5000 + "]" * 5000, "is not YAML"),
        ("a: " + "9" * 5000, "is not YAML"),
        ("a: !!bool x", "is not YAML"),
        ("a: 2001-01-01", "holds date; expected numbers, text, lists and mappings"),
        ("a: !!set {b}", "holds set; expected"),
        ("a: !!binary YQ==", "holds bytes; expected"),
        ("1: 2", "has the key 1; expected text"),
        ("#" * (1 << 20) + "\na: 1", "has 1048581 bytes; expected at most 1048576"),
        ("a: !!python/object/apply:os.system [exit]", "is not YAML"),
    ],
)
def test_a_config_beyond_all_measure_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(CheckpointError) as refused:
        run_folder.load_config(tmp_path)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(CheckpointError, match=r"config\.yaml is missing"):
        run_folder.load_config(tmp_path)
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "config.yaml").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=r"config\.yaml is missing"):
        run_folder.load_config(tmp_path)


def test_what_a_run_writes_is_read_back(tmp_path: Path) -> None:
    config = own(knob=[1, 2.5, None, True, "é"], path="${oc.env:HOME}")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert run_folder.load_config(tmp_path) == run_folder.read_config(tmp_path) == config

"""What is generated from the config's types: the table of keys, the JSON schemas, and where conf/ finds them."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from omegaconf import OmegaConf

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import config_reference
from config_reference import CONF, TABLE, conf_files, outputs, schema_of

from hfvae_runner.config import schema

FILES = [path.relative_to(CONF).as_posix() for path in conf_files()]


def mistakes(name: str, content: object) -> list[str]:
    """What the schema that an editor finds for a file of conf/ says against a content."""
    validator = Draft7Validator(json.loads(schema_of(CONF / name).read_text(encoding="utf-8")))
    return [error.message for error in validator.iter_errors(content)]


def content_of(name: str) -> Any:
    return OmegaConf.to_container(OmegaConf.load(CONF / name))


def test_what_is_committed_is_what_the_types_say() -> None:
    stale = [str(path) for path, content in outputs().items() if path.read_text(encoding="utf-8") != content]
    assert not stale, "run python scripts/config_reference.py"


def test_a_second_run_changes_no_file() -> None:
    path = CONF / "config.yaml"
    assert config_reference._with_schema(path) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_conf_follows_its_schema(name: str) -> None:
    assert mistakes(name, content_of(name)) == []


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("config.yaml", "seed", "four"),
        ("config.yaml", "seed", -1),
        ("config.yaml", "precision", "bf6"),
        ("config.yaml", "runtime", {"grahp": True}),
        ("train/default.yaml", "log_evry", 3),
        ("train/default.yaml", "betas", [0.9]),
        ("train/default.yaml", "betas", [0.9, 1]),
        ("metrics/mmd.yaml", "drawz", 3),
        ("metrics/mmd.yaml", "draws", 0),
        ("prior/student_t.yaml", "nu", "high"),
        ("prior/student_t.yaml", "mu", 3),
        ("objective/hfvae.yaml", "objective", {"terms": {"kl": {"wieght": 3}}}),
        ("objective/hfvae.yaml", "beta", {"pi_control": {"target": 3, "k_q": 1}}),
        ("objective/hfvae.yaml", "beta", {"pi_control": {"k_p": 1}}),
        ("dataset/mnist.yaml", "batch_size", 1),
    ],
)
def test_a_mistake_is_underlined(name: str, key: str, value: object) -> None:
    assert mistakes(name, {**content_of(name), key: value})


@pytest.mark.parametrize("key", [key for key in schema.SETTINGS if key != "choices"])
def test_the_table_names_every_setting(key: str) -> None:
    assert f"\n| `{key}` | " in TABLE.read_text(encoding="utf-8")

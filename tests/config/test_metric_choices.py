"""The choices of conf/metrics without Hydra are those that Hydra makes."""

import pytest
from launching import resolved

from hfvae_runner.config.metric_choices import chosen_metrics, value_of
from hfvae_runner.config.schema import METRICS_SETTINGS
from hfvae_runner.config.stored import config_folder
from hfvae_runner.errors import ConfigError

NAMES = sorted(path.stem for path in (config_folder() / "metrics").glob("*.yaml"))


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("name", NAMES)
def test_a_choice_is_what_hydra_makes_of_it(name: str) -> None:
    section = resolved(f"metrics={name}")["metrics"]
    assert isinstance(section, dict)
    expected = {key: value for key, value in section.items() if key not in METRICS_SETTINGS}
    assert chosen_metrics([name], {}) == expected
    assert all(isinstance(value, type(expected[key])) for key, value in chosen_metrics([name], {}).items())


def test_several_choices_and_options() -> None:
    chosen = chosen_metrics(["default", "dci"], {"dci": {"trees": 3}, "mine": {"_target_": "a.b"}})
    assert {"dci", "mig", "hoyer", "mine"} <= chosen.keys()
    assert (chosen["dci"]["trees"], chosen["dci"]["depth"]) == (3, 12)
    assert chosen_metrics(["dci"], {})["dci"]["trees"] == 10, "what was chosen before is as the file has it"


@pytest.mark.parametrize(
    ("names", "options", "line"),
    [
        (["migg"], {}, "metrics=migg: no such choice; expected one of active_units"),
        (["dci"], {"dcii": {"trees": 3}}, "metrics.dcii.trees: no such metric is chosen; chosen are dci; did you mean"),
    ],
)
def test_what_there_is_not(names: list[str], options: dict[str, dict[str, object]], line: str) -> None:
    with pytest.raises(ConfigError) as error:
        chosen_metrics(names, options)
    assert line in str(error.value)


@pytest.mark.parametrize(("text", "value"), [("1e-2", 0.01), ("3", 3), ("lasso", "lasso"), ("true", True), ("", None)])
def test_values_are_yaml(text: str, value: object) -> None:
    assert value_of(text, "metrics.a.b") == value and type(value_of(text, "x")) is type(value)


def test_a_value_that_is_no_yaml_has_one_line() -> None:
    with pytest.raises(ConfigError, match=r"metrics.a.b=\[1: expected a value") as error:
        value_of("[1", "metrics.a.b")
    assert "\n" not in str(error.value)

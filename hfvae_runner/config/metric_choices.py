"""The choices of conf/metrics, read without Hydra: for commands that measure but train nothing."""

import re
from collections.abc import Iterable, Mapping
from functools import cache

import yaml

from hfvae_runner.config.stored import TARGET, config_folder
from hfvae_runner.errors import ConfigError, nearest

Specs = dict[str, dict[str, object]]
"""The chosen metrics' functions as ``_target_`` and their options, by name."""

_SHORT_FLOAT = re.compile(r"[-+]?\d+[eE][-+]?\d+$")


class _Loader(yaml.SafeLoader):
    """With ``1e-2`` as a number, as in YAML 1.2 and for Hydra; PyYAML takes it for text."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _SHORT_FLOAT, list("-+0123456789"))


def value_of(text: str, where: str) -> object:
    """What a text on the command line stands for, as in YAML; raises ConfigError, which names ``where``."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}={text}: expected a value such as 3, true or text ({_one_line(error)})") from None


def chosen_metrics(names: Iterable[str], options: Mapping[str, Mapping[str, object]]) -> Specs:
    """What ``metrics=[NAME,…]`` and ``metrics.NAME.OPTION=VALUE`` make, as a run's config has it.

    Args:
        names: of files of conf/metrics, each a metric or a list of them.
        options: in place of the files' own, by metric. With a ``_target_`` the metric need not be among those chosen.

    Raises:
        ConfigError: there is no such choice, or the metric of an option is not among those chosen.
    """
    specs: Specs = {}
    for name in names:
        specs |= {metric: dict(spec) for metric, spec in _choice(name).items()}
    for name, own in options.items():
        if name not in specs and TARGET not in own:
            known, option = ", ".join(specs) or "none", next(iter(own), "")
            raise ConfigError(
                f"metrics.{name}.{option}: no such metric is chosen; chosen are {known}{nearest(name, specs)}"
            )
        specs[name] = {**specs.get(name, {}), **own}
    return specs


@cache
def _choice(name: str) -> Specs:
    known = sorted(path.stem for path in (config_folder() / "metrics").glob("*.yaml"))
    if name not in known:
        raise ConfigError(f"metrics={name}: no such choice; expected one of {', '.join(known)}{nearest(name, known)}")
    content = yaml.load((config_folder() / "metrics" / f"{name}.yaml").read_text(encoding="utf-8"), _Loader)
    if "defaults" not in content:
        return {name: content}
    specs: Specs = {}
    for part in content["defaults"]:
        specs |= _choice(part)
    return specs


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

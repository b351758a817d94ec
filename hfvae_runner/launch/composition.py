"""Composes configs with Hydra, and formats its exceptions in one line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hfvae_runner.config.schema import BROUGHT_GROUPS, FIXED, GROUPS, SETTINGS
from hfvae_runner.config.stored import config_folder as config_folder
from hfvae_runner.errors import ConfigError, nearest

CONFIG_NAME = "config"
VERSION_BASE = "1.3"

_OPEN = ("dataset", "model", "likelihood", "prior")
_COULD_NOT_OVERRIDE = re.compile(r"Could not (?:override|delete from config\.) '([^'@]+)'")
_COULD_NOT_APPEND = re.compile(r"Could not append to config\. An item is already at '([^'@]+)'")
_REFERENCE = re.compile(r"\$\{\s*(?:oc\.select\s*:\s*)?(\w+)\s*(?!\w|:)")


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Parse the overrides by Hydra's grammar; raise ConfigError for the first one that is malformed."""
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(explain(error, [])) from error


def quoted(text: str) -> str:
    """Quote any text as a value of Hydra's grammar."""
    return QuotedString(text, Quote.single).with_quotes()


def composed(overrides: Sequence[str]) -> dict[str, object]:
    """Compose and resolve the config of a command line, outside of a Hydra run.

    Raises:
        ConfigError: Hydra cannot compose the config, or ``resolve`` refuses it.
    """
    with hydra.initialize_config_dir(str(config_folder()), job_name="hfvae_runner", version_base=VERSION_BASE):
        try:
            config = hydra.compose(CONFIG_NAME, list(overrides), return_hydra_config=True)
        except Exception as error:
            raise ConfigError(explain(error, overrides)) from error
        HydraConfig.instance().set_config(config)
        return resolve(config)


def resolve(config: DictConfig) -> dict[str, object]:
    """Return the run's config as a plain dict, without Hydra's own node and with all interpolations resolved.

    Raises:
        ConfigError: a mandatory value is missing, an interpolation cannot be resolved, or a top-level key is unused.
    """
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    _refuse_unused_knobs(own)
    try:
        resolved = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error, [])) from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def cannot_set(given: str, path: str, config: Mapping[str, object], *, open_ended: bool = False) -> str:
    """Return the message for a dotted path that cannot be set, with the valid names at the level that fails.

    Args:
        given: the override, as typed.
        path: the dotted path that it names.
        config: the config that has no such path, or has a value there already.
        open_ended: whether the last level may have further options, at their defaults.
    """
    choices: list[str] = []
    node: object = config
    parts = path.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(node, Mapping):
            above = ".".join(parts[:depth])
            if node is None or "${oc.create:" in str(node):
                value = given.partition("=")[2] or "VALUE"
                return f"{given}: {above} is set as a whole; expected '{above}={_nested(parts[depth:], value)}'"
            return f"{given}: {above} is a value and has no keys of its own"
        if part not in node:
            if not node and depth:
                chosen = ".".join(parts[:depth])
                return f"{given}: nothing is chosen for {chosen}; expected {chosen}={part} as well"
            choices = [str(key) for key in node if key != "choices"]
            more = f" (+{given} for an option that it leaves at its default)" if open_ended else ""
            return f"{given}: unknown key {part!r}; expected one of {', '.join(choices)}{nearest(part, choices)}{more}"
        node = node[part]
    if given.startswith("+"):
        return f"{given}: is there already; expected {given.lstrip('+')}"
    return f"{given}: cannot be set"


def _nested(keys: Sequence[str], value: str) -> str:
    """Return a mapping of mappings in Hydra's grammar, with one key each."""
    for key in reversed(keys):
        value = f"{{{key}: {value}}}"
    return value


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """Describe an exception of Hydra or OmegaConf in one line; ``overrides`` are the ones that were being composed."""
    text = str(error) or str(error.__cause__ or "") or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be written: {error.strerror}; expected a folder that can"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        options = ", ".join(error.options)
        return f"{group}={choice}: no such choice; expected one of {options}{nearest(choice, error.options)}"
    if isinstance(error, OverrideParseException):
        reason = text.removeprefix(f"Error parsing override '{error.override}'").partition("\nSee http")[0]
        return f"cannot read the override {error.override!r} ({one_line(reason)}); expected KEY=VALUE, quoted for Hydra"
    if (found := _COULD_NOT_OVERRIDE.match(text)) and not found[1].startswith("hydra."):
        given = next((override for override in overrides if override.lstrip("+~").startswith(found[1])), found[1])
        path = getattr(error.__cause__, "full_key", None) or found[1]
        group, _, option = path.partition(".")
        if group in BROUGHT_GROUPS:
            return f"{given}: the chosen objective has no {group}; expected {' or '.join(_bringing(group))}"
        if group not in _OPEN:
            return cannot_set(given, path, _known_keys(overrides))
        if others := _choices_with(group, option):
            return f"{given}: the chosen {group} has no {option!r}; expected {' or '.join(others)}"
        return cannot_set(given, path, _known_keys(overrides), open_ended=True)
    if found := _COULD_NOT_APPEND.match(text):
        typed = f"+{found[1]}"
        given = next((override for override in overrides if override.partition("=")[0] == typed), typed)
        return cannot_set(given, found[1], _known_keys(overrides))
    if "Config group override must be a string" in text:
        groups = [override for override in overrides if override.endswith("=null")]
        return f"{' '.join(groups) or 'a group'}: expected the name of a choice"
    return one_line(f"{text}: {error.__cause__}" if str(error) and error.__cause__ else text)


def one_line(text: str) -> str:
    return " ".join(text.replace("object_type=dict", "").split())


def leaves(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value with its dotted path; an empty section counts as a value."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def _known_keys(overrides: Sequence[str]) -> Mapping[str, object]:
    """Return the config of the chosen groups, without the other overrides."""
    folders = {path.name for path in config_folder().iterdir() if path.is_dir()}
    chosen = [override for override in overrides if override.lstrip("+").partition("=")[0] in folders]
    folder = str(config_folder())
    with (
        nullcontext()
        if GlobalHydra.instance().is_initialized()
        else hydra.initialize_config_dir(folder, job_name="hfvae_runner", version_base=VERSION_BASE)
    ):
        try:
            known = hydra.compose(CONFIG_NAME, chosen)
        except HydraException:  # a sweep over groups, or a choice from one of the user's folders
            known = hydra.compose(CONFIG_NAME)
    keys = OmegaConf.to_container(known, resolve=False)
    assert isinstance(keys, dict)
    return {str(key): value for key, value in keys.items()}


def _bringing(group: str) -> list[str]:
    """Return the objectives whose lists of defaults contain the group."""
    files = sorted((config_folder() / "objective").glob("*.yaml"))
    contents = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}
    return [
        f"objective={name}"
        for name, content in contents.items()
        if any(f"/{group}" in entry for entry in content.get("defaults", ()) if isinstance(entry, dict))
    ]


def _choices_with(group: str, option: str) -> list[str]:
    """Return the group's choices whose files define the option."""
    files = sorted((config_folder() / group).glob("*.yaml"))
    contents = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}
    return [f"{group}={name}" for name, content in contents.items() if option in content.get(group, content)]


def _refuse_unused_knobs(config: DictConfig) -> None:
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    used = {match[1] for text in _texts(raw) for match in _REFERENCE.finditer(text)}
    knobs = [str(key) for key in raw if key in used and key not in FIXED]
    for key in map(str, raw):
        if key not in FIXED and key not in used:
            choices = (*SETTINGS, *GROUPS, "train", "metrics", *knobs)
            raise ConfigError(
                f"{key}={raw[key]}: the chosen objective has no {key!r}; expected one of {', '.join(choices)}"
                f"{nearest(key, choices)}"
            )


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)

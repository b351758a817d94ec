"""Imports the functions that a config names as ``_target_``, and checks their arguments and kind before any call."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any, get_origin, get_type_hints

from hfvae_runner.errors import ConfigError, nearest

_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def signed(
    where: str, prefix: str, spec: Mapping[str, object], derived: Sequence[str]
) -> tuple[Callable[..., Any], dict[str, object], list[str]]:
    """Import the function that ``_target_`` names; return it, its arguments, and the derived ones that it takes.

    Args:
        where: the section and its choice, for messages.
        prefix: the dotted key of the section, for messages.
        spec: the section, with ``_target_``.
        derived: names of arguments that are not from the config.

    Raises:
        ConfigError: the function does not exist, or does not take these arguments.
    """
    factory = _located(str(spec["_target_"]), where)
    arguments = {key: value for key, value in spec.items() if key != "_target_"}
    try:
        signature = inspect.signature(factory)
    except ValueError:
        raise ConfigError(f"{where}: {spec['_target_']} does not say what it takes; expected a function") from None
    parameters = {name: parameter for name, parameter in signature.parameters.items() if parameter.kind not in _STARRED}
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    own = [name for name in parameters if name not in derived]
    for key in arguments:
        if key not in own and not open_ended:
            known = ", ".join(own) or "no options"
            raise ConfigError(f"{where} does not take {prefix}.{key}; it takes {known}{nearest(key, own)}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in arguments and name not in derived:
            raise ConfigError(f"{where} needs {prefix}.{name}, which the config does not give")
    return factory, arguments, [name for name in derived if name in parameters or open_ended]


def check_kind(where: str, spec: Mapping[str, object], factory: Callable[..., object], kind: type) -> None:
    """Raise ConfigError if a function's return annotation is not its kind; the function is not called."""
    returned = returned_by(factory)
    origin = get_origin(returned) or returned
    if isinstance(origin, type) and issubclass(origin, kind):
        return
    says = f"returns {origin.__name__}" if isinstance(origin, type) else "does not say what it returns"
    expected = f"{kind.__name__}, as a class or by an annotation: -> {kind.__name__}"
    raise ConfigError(f"{where}: {spec['_target_']} {says}; expected {expected}")


def returned_by(function: Callable[..., object]) -> object:
    """Return the class itself, or the return annotation of a function; None if there is no annotation."""
    if isinstance(function, type):
        return function
    inner = inspect.unwrap(function)
    annotations = getattr(inner, "__annotations__", {})
    if "return" not in annotations:
        return None
    # Only the return annotation, since those of the arguments may be readable only by a type checker.
    said = SimpleNamespace(__annotations__={"return": annotations["return"]})
    try:
        return get_type_hints(said, globalns=getattr(inner, "__globals__", {}))["return"]
    except (NameError, SyntaxError, TypeError, AttributeError):
        return None


def _located(path: str, where: str) -> Callable[..., object]:
    module_name, _, attribute = path.rpartition(".")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{where}: there is no module {error.name!r} for _target_={path}") from None
    found: Callable[..., object] | None = getattr(module, attribute, None)
    if not callable(found):
        raise ConfigError(f"{where}: {module_name} has no {attribute!r} to call{nearest(attribute, dir(module))}")
    return found

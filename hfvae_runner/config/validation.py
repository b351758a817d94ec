"""Checks a config's values against types; the only place that turns pydantic's errors into messages of one line.

A type determines the valid values, the expected values in a message, and the text in the docs and in editors. It is an
annotation for pydantic; the usual ones have names here, and ranges are added as in ``Annotated[Number, Lt(1)]``. True,
text, infinity and NaN are not numbers; 3.0 and 1e3 are whole numbers.
"""

import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Le, Lt, MinLen
from pydantic import AllowInfNan, BeforeValidator, ConfigDict, Field, Strict, TypeAdapter, ValidationError

from hfvae_runner.errors import ConfigError, nearest

T = TypeVar("T")
Fragment = Mapping[str, Any]
"""A part of a JSON schema."""

EXPECTED = "expected"
"""The key of a JSON schema under which ``expected`` stores its text."""

_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


def expected(words: str, *names: str) -> Any:
    """Return a part of an annotation with the expected value, as text for messages, and valid names to suggest."""
    return Field(json_schema_extra={EXPECTED: words}, examples=list(names) or None)


def _whole(value: object) -> object:
    # 1e3 in a config is read as a float.
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""The last annotation of a whole number, as in ``Annotated[int, Strict(), Ge(2), WHOLE]``, so that ranges apply to the
integer.
"""
Whole = Annotated[int, Strict(), WHOLE]
Count = Annotated[int, Strict(), Ge(1), WHOLE]
Number = Annotated[float, Strict(), AllowInfNan(False)]
NonNegative = Annotated[Number, Ge(0)]
Positive = Annotated[Number, Field(gt=0)]
Share = Annotated[Number, Ge(0), Le(1)]
Rate = Annotated[Number, Ge(0), Lt(1)]
Rates = Annotated[tuple[Rate, Rate], Strict(False), expected("two numbers from 0 to below 1")]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), MinLen(1)]


def checked(kind: Any, value: object, where: str = "") -> Any:
    """Return the value converted to the type, such as 3 for 3.0 if the type is a whole number.

    Args:
        kind: an annotation, or a dataclass, whose value is a mapping.
        value: from a config.
        where: the value's key, for the message; empty for the whole config.

    Raises:
        ConfigError: the value does not have the type. The message gives the value, what was expected and the nearest
            name in one line.
    """
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise ConfigError(_line(error, kind_schema(kind), value, where)) from None


def held(function: Callable[..., object], options: Mapping[str, object], prefix: str = "") -> dict[str, Any]:
    """Return the options of a function, converted to the types of its arguments.

    Args:
        function: the function.
        options: its arguments, from a config.
        prefix: the text before an option's name in the message.

    Raises:
        ConfigError: an option does not have its argument's type, or the argument has no annotation.
    """
    kinds = typing.get_type_hints(function, include_extras=True)
    if untyped := [key for key in options if key not in kinds]:
        where, name = prefix.removesuffix("."), f"{function.__module__}.{function.__qualname__}"
        raise ConfigError(f"{where}: {name} does not say of which type {untyped[0]} is; expected it to")
    return {key: checked(kinds[key], value, f"{prefix}{key}") for key, value in options.items()}


def holding(section: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Decorate a function of keyword arguments that a section of the config gives: it holds them to their annotations.

    Raises:
        ConfigError: when it is called with an argument that is not of its type.
    """

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        @wraps(function)
        def checked_first(**options: object) -> T:
            return function(**held(function, options, f"{section}."))

        return checked_first

    return decorate


def kind_schema(kind: Any) -> Fragment:
    """Return the JSON schema of a type, including the text of ``expected``."""
    return _adapter(kind).json_schema()


def words(fragment: Fragment) -> str:
    """Describe a type by its JSON schema, as in "a whole number from 1 on, or null"."""
    if EXPECTED in fragment:
        return str(fragment[EXPECTED])
    if "anyOf" in fragment:
        kinds = [words(kind) for kind in fragment["anyOf"] if kind.get("type") != "null"]
        return " or ".join(kinds) + (", or null" if len(kinds) < len(fragment["anyOf"]) else "")
    if names := _names(fragment):
        return f"one of {', '.join(names)}"
    kind = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "string": "some text",
        "array": "a list",
        "null": "null",
    }.get(fragment.get("type", ""), "a section with keys of its own")
    return kind + _range(fragment)


def shown(value: object) -> str:
    """Return the value as written in a config."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
        return TypeAdapter(kind)  # in strict mode it would refuse a mapping; each of its fields is strict
    return TypeAdapter(Whole if kind is int else kind, config=_STRICT)


def _line(error: ValidationError, schema: Fragment, value: object, where: str) -> str:
    """Describe the first mistake; an unknown key is described first, since it may be a misspelt missing key."""
    mistakes = error.errors(include_url=False, include_context=False)
    mistake = min(mistakes, key=lambda each: each["type"] not in _UNKNOWN)
    *parents, last = mistake["loc"] or (None,)
    fragment = _resolved(schema, schema)
    for part in (*parents, last):
        below = _below(fragment, part, schema)
        if below is None or any(EXPECTED in kind for kind in _kinds(fragment)):
            break
        fragment = below
        # A level that is not in the config, such as the one of the chosen metrics, is left out.
        if _has(value, part):
            where = f"{where}[{part}]" if isinstance(part, int) else f"{where}.{part}" if where else str(part)
            value = value[part]  # type: ignore[index]
        elif part == last and mistake["type"] == "missing":
            return f"{where}.{part} is missing from the config; expected {words(fragment)}".removeprefix(".")
    if mistake["type"] in _UNKNOWN:
        known = tuple(fragment["properties"])
        key = f"{where}.{last}".removeprefix(".")
        return f"{key}: unknown key; expected one of {', '.join(known)}{nearest(last, known)}"
    given = str(value).partition(".")[0]  # of a path such as test.elbo, only its section
    return f"{where}={shown(value)}: expected {words(fragment)}{nearest(given, _names(fragment))}"


def _below(fragment: Fragment, part: int | str | None, schema: Fragment) -> Fragment | None:
    """Return the schema of a key or of a place in a list, or None."""
    for kind in _kinds(fragment):
        kind = _resolved(kind, schema)
        if isinstance(part, int) and isinstance(kind.get("items"), Mapping):
            return _resolved(kind["items"], schema)
        if part in kind.get("properties", ()):
            return _resolved(kind["properties"][part], schema)
        if isinstance(part, str) and isinstance(kind.get("additionalProperties"), Mapping):
            return _resolved(kind["additionalProperties"], schema)
    return None


def _kinds(fragment: Fragment) -> Sequence[Fragment]:
    """Return the kinds of value that a type allows, one or several."""
    kinds: Sequence[Fragment] = fragment.get("anyOf", (fragment,))
    return kinds


def _resolved(fragment: Fragment, schema: Fragment) -> Fragment:
    while "$ref" in fragment:
        fragment = schema["$defs"][fragment["$ref"].rpartition("/")[2]]
    return fragment


def _has(value: object, part: object) -> bool:
    if isinstance(value, Mapping):
        return part in value
    return isinstance(value, Sequence) and isinstance(part, int) and part < len(value)


def _names(fragment: Fragment) -> tuple[str, ...]:
    """Return the words that a value may be, or examples of them."""
    if "anyOf" in fragment:
        return tuple(name for kind in _kinds(fragment) for name in _names(kind))
    named = fragment.get("enum") or fragment.get("examples") or ([fragment["const"]] if "const" in fragment else ())
    return tuple(map(str, named))


def _range(fragment: Fragment) -> str:
    least, above = fragment.get("minimum"), fragment.get("exclusiveMinimum")
    most, below = fragment.get("maximum"), fragment.get("exclusiveMaximum")
    if above is not None:
        return f" above {above:g}" + (f" and below {below:g}" if below is not None else "")
    if least is None:
        return ""
    if below is not None:
        return f" from {least:g} to below {below:g}"
    return f" from {least} on" if most is None else f" from {least} to {most}"

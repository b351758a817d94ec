"""Values of a config, held to types: the one place where what pydantic refuses becomes a line that a person reads.

A type says what a value may be, what a refusal says was expected, and what the docs and editors show. It is an
annotation as pydantic reads it; the usual ones have names here, ranges are added as in ``Annotated[Number, Lt(1)]``.
True is no number, a text is no number, neither infinity nor NaN is one; 3.0 and 1e3 are whole numbers.
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
"""The key of a JSON schema under which ``expected`` keeps its words."""

_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


def expected(words: str, *names: str) -> Any:
    """What a refusal says that a value should have been, and valid names to suggest; part of an annotation."""
    return Field(json_schema_extra={EXPECTED: words}, examples=list(names) or None)


def _whole(value: object) -> object:
    # 1e3 is read as a float.
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Last of a whole number's annotations, as in ``Annotated[int, Strict(), Ge(2), WHOLE]``: ranges are the integer's."""
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
    """The value as the type has it, such as 3 for 3.0 where whole numbers are expected.

    Args:
        kind: an annotation, or a dataclass, for which a mapping is taken.
        value: from a config.
        where: the value's key, for the message; empty for the whole config.

    Raises:
        ConfigError: the value is not of the type; what was given, what was expected and the nearest name, in one line.
    """
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise ConfigError(_line(error, kind_schema(kind), value, where)) from None


def held(function: Callable[..., object], options: Mapping[str, object], prefix: str = "") -> dict[str, Any]:
    """The options of a function as the annotations of its arguments have them.

    Raises:
        ConfigError: an option is not of its argument's type; ``prefix`` stands before its name in the message.
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
    """The JSON schema of a type, with what ``expected`` says of it."""
    return _adapter(kind).json_schema()


def words(fragment: Fragment) -> str:
    """A type in words, as in "a whole number from 1 on, or null", from its JSON schema."""
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
    """The value as it is spelt in a config."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
        return TypeAdapter(kind)  # strict, it would take no mapping; its fields are strict each
    return TypeAdapter(Whole if kind is int else kind, config=_STRICT)


def _line(error: ValidationError, schema: Fragment, value: object, where: str) -> str:
    """The first mistake; a key that is not known comes first, as it may be the one that is missing."""
    mistakes = error.errors(include_url=False, include_context=False)
    mistake = min(mistakes, key=lambda each: each["type"] not in _UNKNOWN)
    *parents, last = mistake["loc"] or (None,)
    fragment = _resolved(schema, schema)
    for part in (*parents, last):
        below = _below(fragment, part, schema)
        if below is None or any(EXPECTED in kind for kind in _kinds(fragment)):
            break
        fragment = below
        # A level that the config does not have, such as the one of the chosen metrics, has no name.
        if _has(value, part):
            where = f"{where}[{part}]" if isinstance(part, int) else f"{where}.{part}" if where else str(part)
            value = value[part]  # type: ignore[index]
        elif part == last and mistake["type"] == "missing":
            return f"{where}.{part} is missing from the config; expected {words(fragment)}".removeprefix(".")
    if mistake["type"] in _UNKNOWN:
        known = tuple(fragment["properties"])
        return f"{where}.{last}: unknown key; expected one of {', '.join(known)}{nearest(last, known)}".removeprefix(
            "."
        )
    given = str(value).partition(".")[0]  # of a path such as test.elbo, its section
    return f"{where}={shown(value)}: expected {words(fragment)}{nearest(given, _names(fragment))}"


def _below(fragment: Fragment, part: int | str | None, schema: Fragment) -> Fragment | None:
    """What a schema says of a key or of a place in a list; None where it says nothing of it."""
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
    """The kinds of value that a type allows, one or several."""
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
    """The words that a value may be, or examples of them."""
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

"""Reads one level of a config key by key; an error names the key, its value and what was expected."""

import math
from collections.abc import Mapping

from hfvae_runner.errors import ConfigError, nearest


class Section:
    """One level of the config, read key by key."""

    def __init__(self, path: str, values: Mapping[str, object]) -> None:
        self._path = path
        self._values = values

    def name(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def has(self, key: str) -> bool:
        return key in self._values

    def value(self, key: str) -> object:
        if key not in self._values:
            raise ConfigError(f"{self.name(key)} is missing from the config")
        return self._values[key]

    def error(self, key: str, expected: str) -> ConfigError:
        return ConfigError(f"{self.name(key)}={shown(self._values[key])}: expected {expected}")

    def section(self, key: str, keys: tuple[str, ...]) -> "Section":
        """Read a section that has these keys and no others."""
        section = Section(self.name(key), self.mapping(key))
        for given in section._values:
            if given not in keys:
                raise ConfigError(
                    f"{section.name(given)}: unknown key; expected one of {', '.join(keys)}{nearest(given, keys)}"
                )
        return section

    def names(self) -> tuple[str, ...]:
        return tuple(self._values)

    def mapping(self, key: str) -> Mapping[str, object]:
        value = self.value(key)
        if not isinstance(value, Mapping):
            raise self.error(key, "a section with keys of its own")
        return value

    def integer(self, key: str, least: int, most: float = math.inf) -> int:
        value = self.value(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.error(key, f"a whole number from {least} {'on' if most == math.inf else f'to {most}'}")
        return value

    def optional_integer(self, key: str, most: float = math.inf) -> int | None:
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise self.error(key, f"a whole number from 1 {'on' if most == math.inf else f'to {most}'}, or null")
        return value

    def positive(self, key: str) -> float:
        value = self.value(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise self.error(key, "a number above 0")
        return float(value)

    def number(self, key: str, most: float = math.inf) -> float:
        value = self.value(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most or value == math.inf:
            raise self.error(key, f"a number from 0 {'on' if most == math.inf else f'to {most:g}'}")
        return float(value)

    def boolean(self, key: str) -> bool:
        value = self.value(key)
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value

    def text(self, key: str) -> str:
        value = self.value(key)
        if not isinstance(value, str) or not value:
            raise self.error(key, "some text")
        return value

    def word(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.value(key)
        if not isinstance(value, str) or value not in choices:
            raise self.error(key, f"one of {', '.join(choices)}{nearest(value, choices)}")
        return value


def shown(value: object) -> str:
    """The value as a config spells it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)

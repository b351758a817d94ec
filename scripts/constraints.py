"""Writes constraints.txt: the versions of this environment of everything that ``pip install -e ".[test]"`` brings.

    python scripts/constraints.py

``pip install -e ".[test]" -c constraints.txt`` then installs the versions that the tests last ran with.
"""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILE = Path(__file__).resolve().parents[1] / "constraints.txt"
PROJECT = "hfvae-runner"


def requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """Yield what a distribution with these extras requires here."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def closure() -> dict[str, str]:
    """Return the version of every distribution that the project's tests need, by name."""
    found: dict[str, str] = {}
    waiting, seen = [(PROJECT, frozenset({"test"}))], set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for requirement in requirements(name, extras):
            other = canonicalize_name(requirement.name)
            waiting.append((other, frozenset(requirement.extras)))
            if other != PROJECT:
                found[other] = distribution(other).version
    return found


def main() -> int:
    """Write the file; return 1 if a distribution is missing here."""
    try:
        found = closure()
    except PackageNotFoundError as error:
        print(f"error: {error} is not installed; expected pip install -e '.[test]'", file=sys.stderr)
        return 1
    head = f"# Written by scripts/constraints.py on Python {platform.python_version()}, {platform.system()}.\n"
    # Local version labels, such as +cu130, are of one index.
    lines = [f"{name}=={version.partition('+')[0]}\n" for name, version in sorted(found.items())]
    FILE.write_text(head + "".join(lines), encoding="utf-8")
    print(f"{FILE.name}: {len(lines)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())

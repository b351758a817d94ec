"""Identifies the program that produced a result: its version and, in a git checkout, its commit."""

import subprocess
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_CODE = ("hfvae_runner", "hydra_plugins", "conf")
_SECONDS = 10.0


@cache
def commit() -> str | None:
    """Return the commit of the checkout that this process was started from.

    The first call decides for the whole process: files that change later are not the ones that are running.

    Returns:
        40 hexadecimal digits, with ``+changes`` where the code or conf/ differs from that commit. None where the
        package is installed without its repository, or where git is missing.
    """
    if not (_ROOT / ".git").exists():
        return None
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    changes = _git("status", "--porcelain", "--", *_CODE)
    return head if changes == "" else f"{head}+changes"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

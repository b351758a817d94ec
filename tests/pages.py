"""The commands that README and docs show."""

import re
import shlex
from pathlib import Path

import hfvae_runner
from hfvae_runner.launch.composition import parse_overrides

ROOT = Path(hfvae_runner.__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
TRAINS = "python -m hfvae_runner"
_OWN = ("trust=", "dataset._target_=")
"""Commands about modules of the user's own."""


def shown(prefix: str) -> list[list[str]]:
    """The arguments of every command that begins so, wherever it stands in a line."""
    found = []
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                for command in re.split(r"&&", line):
                    _, separator, rest = command.partition(f"{prefix} ")
                    if (
                        separator
                        and prefix == command.strip().removeprefix("HFVAE_DATA=../shared/data ")[: len(prefix)]
                    ):
                        found.append(shlex.split(rest, comments=True))
    return found


COMMANDS = [each for each in shown(TRAINS) if "--help" not in each and not any(a.startswith(_OWN) for a in each)]


def first_job(arguments: list[str]) -> list[str]:
    """The overrides of a command's first job, without those that Hydra's plugins are needed for."""
    job = []
    for override in parse_overrides([each for each in arguments if each not in ("-m", "--multirun")]):
        key = override.get_key_element()
        if override.key_or_group.startswith(("hydra/", "hydra.")) or "interval(" in str(override.input_line):
            continue
        first = next(iter(override.sweep_string_iterator())) if override.is_sweep_override() else None
        job.append(str(override.input_line) if first is None else f"{key}={first}")
    return job

"""README and docs: links lead somewhere, and every training command that they show is accepted."""

import re
import shlex
from pathlib import Path

import pytest

import hfvae_runner
from hfvae_runner.config import schema
from hfvae_runner.launch.composition import composed, parse_overrides
from hfvae_runner.reproduce.study import load

ROOT = Path(hfvae_runner.__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "conf/hydra/README.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_TRAINS = "python -m hfvae_runner"
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


COMMANDS = [each for each in shown(_TRAINS) if "--help" not in each and not any(a.startswith(_OWN) for a in each)]


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            heads = re.findall(r"(?m)^#+ (.+)$", file.read_text(encoding="utf-8"))
            assert anchor in [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads], target


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("workplace")
def test_commands_are_accepted(arguments: list[str]) -> None:
    job = first_job(arguments)
    if not any(each.startswith("resume=") and each != "resume=auto" for each in job):
        schema.parse(composed(job))


def test_studies_exist() -> None:
    named = [each[0] for each in shown(f"{_TRAINS}.reproduce") if not each[0].startswith("-")]
    assert named
    for name in named:
        load(name)

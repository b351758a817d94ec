"""README and docs: links lead somewhere, and every training command that they show is accepted."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

import hfvae_runner
from hfvae_runner import evaluate
from hfvae_runner.config import schema
from hfvae_runner.explore import command as explore
from hfvae_runner.export import command as export
from hfvae_runner.launch import help
from hfvae_runner.launch.composition import composed, parse_overrides
from hfvae_runner.report import command as report
from hfvae_runner.reproduce import command as reproduce
from hfvae_runner.reproduce.study import load

ROOT = Path(hfvae_runner.__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
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


@pytest.mark.parametrize("group", ["prior", "likelihood", "divergence", "metrics"])
def test_every_choice_has_its_equation(group: str) -> None:
    text = (ROOT / "docs" / "reference" / "equations.md").read_text(encoding="utf-8")
    rows = [line.split(" | ", 1) for line in text.splitlines() if line.startswith("| `")]
    described = {name for first, _ in rows for name in re.findall(r"`(\w+)`", first)}
    content = {name: help.file(help.path_of(group, name))[1] for name in help.names(group)}
    own = {name for name, body in content.items() if not any(line.startswith("  - ") for line in body)}
    assert own and own <= described, own - described


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 30
    for name in ("report", "reproduce", "score", "evaluate", "explore", "export"):
        assert shown(f"{_TRAINS}.{name}"), name


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


@pytest.mark.parametrize("topics", [each for each in shown(_TRAINS) if "--help" in each], ids=" ".join)
def test_help_knows_what_it_is_asked(topics: list[str]) -> None:
    assert help.text([each for each in topics if each != "--help"])


@pytest.mark.parametrize("arguments", shown(f"{_TRAINS}.reproduce"), ids=" ".join)
def test_studies_are_asked_for_as_they_can_be(arguments: list[str]) -> None:
    if arguments != ["--list"]:
        assert reproduce._asked(arguments, run=True).studies


@pytest.mark.parametrize("arguments", shown(f"{_TRAINS}.score"), ids=" ".join)
def test_scores_are_asked_for_as_they_can_be(arguments: list[str]) -> None:
    command = import_module("hfvae_runner.score")  # the package's attribute of this name is the function
    assert command._asked(arguments).specs


@pytest.mark.parametrize(
    "arguments",
    [each for each in shown(f"{_TRAINS}.evaluate") if not any("_target_=" in a for a in each)],
    ids=" ".join,
)
def test_evaluations_are_asked_for_as_they_can_be(arguments: list[str]) -> None:
    udr = evaluate._udr(arguments)
    overrides = [each for each in arguments if "=" in each and not each.startswith(evaluate._UDR)]
    assert udr or overrides
    schema.parse(composed(overrides))


@pytest.mark.parametrize(
    ("module", "does", "arguments"),
    [
        (module, does, arguments)
        for module, does in ((explore, "_explore"), (export, "_export"))
        for arguments in shown(f"{_TRAINS}.{does[1:]}")
    ],
)
def test_commands_on_a_run_are_accepted(
    module: object, does: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, does, lambda run, given: Path(run))
    assert module.main(arguments) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("arguments", shown(f"{_TRAINS}.report"), ids=" ".join)
def test_reports_are_asked_for_as_they_can_be(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(report, "report", read.extend)
    assert report.main(arguments) == 0
    assert read


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_scripts_have_the_options_that_pages_show(page: Path) -> None:
    for script, rest in re.findall(r"python (scripts/\w+\.py)([^`#&\n]*)", page.read_text(encoding="utf-8")):
        source = (ROOT / script).read_text(encoding="utf-8")
        for option in re.findall(r"(?<= )--[a-z-]+", rest):
            assert f'"{option}"' in source, f"{page.name}: {script} {option}"

"""README and docs: links lead somewhere, and every training command that they show is accepted."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from pages import COMMANDS, PAGES, ROOT, TRAINS, first_job, shown

from hfvae_runner import evaluate
from hfvae_runner.config import schema
from hfvae_runner.explore import command as explore
from hfvae_runner.export import command as export
from hfvae_runner.launch import help
from hfvae_runner.launch.composition import composed
from hfvae_runner.report import command as report
from hfvae_runner.reproduce import command as reproduce
from hfvae_runner.reproduce.study import load

_LINK = re.compile(r"\]\(([^)\s]+)\)")


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
        assert shown(f"{TRAINS}.{name}"), name


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("workplace")
def test_commands_are_accepted(arguments: list[str]) -> None:
    job = first_job(arguments)
    if not any(each.startswith("resume=") and each != "resume=auto" for each in job):
        schema.parse(composed(job))


def test_studies_exist() -> None:
    named = [each[0] for each in shown(f"{TRAINS}.reproduce") if not each[0].startswith("-")]
    assert named
    for name in named:
        load(name)


@pytest.mark.parametrize("topics", [each for each in shown(TRAINS) if "--help" in each], ids=" ".join)
def test_help_knows_what_it_is_asked(topics: list[str]) -> None:
    assert help.text([each for each in topics if each != "--help"])


@pytest.mark.parametrize("arguments", shown(f"{TRAINS}.reproduce"), ids=" ".join)
def test_studies_are_asked_for_as_they_can_be(arguments: list[str]) -> None:
    if arguments != ["--list"]:
        assert reproduce._asked(arguments, run=True).studies


@pytest.mark.parametrize("arguments", shown(f"{TRAINS}.score"), ids=" ".join)
def test_scores_are_asked_for_as_they_can_be(arguments: list[str]) -> None:
    command = import_module("hfvae_runner.score")  # the package's attribute of this name is the function
    assert command._asked(arguments).specs


@pytest.mark.parametrize(
    "arguments",
    [each for each in shown(f"{TRAINS}.evaluate") if not any("_target_=" in a for a in each)],
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
        for arguments in shown(f"{TRAINS}.{does[1:]}")
    ],
)
def test_commands_on_a_run_are_accepted(
    module: object, does: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, does, lambda run, given: Path(run))
    assert module.main(arguments) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("arguments", shown(f"{TRAINS}.report"), ids=" ".join)
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

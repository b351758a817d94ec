"""Bars on a terminal, and nowhere else."""

import sys
from io import StringIO
from types import SimpleNamespace
from typing import ClassVar

import pytest

from hfvae_runner import console


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "wanted", "shown"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_bar_is_for_who_wants_it_at_a_terminal(
    terminal: bool, wanted: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal() if terminal else StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(console, "_SECONDS", 0)
    assert list(console.progress(range(5), "counting", wanted=wanted)) == list(range(5))
    assert ("counting" in screen.getvalue()) is shown


def test_what_is_done_in_a_moment_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert list(console.progress(iter("ab"), "spelling", wanted=True, total=2)) == ["a", "b"]
    assert "spelling" not in screen.getvalue()


class Shell:
    config: ClassVar = {"IPKernelApp": {}}


class Prompt:
    config: ClassVar = {"TerminalInteractiveShell": {}}


@pytest.mark.parametrize(
    ("shell", "widgets", "notebook", "module"),
    [
        (Shell, True, True, "tqdm.notebook"),
        (Shell, False, True, "tqdm.std"),
        (Prompt, True, False, "tqdm.std"),
        (None, True, False, "tqdm.std"),
    ],
)
def test_a_notebook_has_a_bar_of_its_own(
    shell: type | None, widgets: bool, notebook: bool, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ipython = SimpleNamespace(get_ipython=lambda: shell and shell())
    monkeypatch.setitem(sys.modules, "IPython", ipython)  # type: ignore[arg-type]
    monkeypatch.setattr(console, "find_spec", lambda name: object() if widgets else None)
    assert console.in_notebook() is notebook
    assert console.hidden(True) is (False if notebook else None)
    assert console.hidden(False) is True
    assert console.bar_type().__module__ == module

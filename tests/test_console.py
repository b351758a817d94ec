"""Bars on a terminal, and nowhere else."""

import sys
from io import StringIO

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

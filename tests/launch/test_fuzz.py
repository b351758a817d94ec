"""Whatever is typed, a command ends with 0, or with one line and nothing left behind.

3 is for a run that diverged, as a learning rate of 1e8 may. Sizes stay below what a small machine holds: more ends in
one line as well (tests/runtime/test_memory.py), but it may take the machine minutes to find out.
"""

import os
import shutil
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from launching import resolved

from hfvae_runner.launch import main
from hfvae_runner.launch.composition import leaves

BASE = (
    *("steps=1", "metrics.figures=false", "device=cpu", "threads=1", "train.progress=false"),
    *("metrics=[active_units]", "metrics.exact_limit=1e6"),
)
SETTINGS = (
    ("dataset=digits", "image_size=8"),
    ("dataset=pinwheel",),
    ("dataset=digits", "image_size=8", "objective=alpha_beta", "prior=mixture"),
    ("dataset=digits", "image_size=8", "objective=isa_vae"),
    ("dataset=digits", "image_size=8", "objective=factor_vae"),
)
GROUPS = ("dataset", "model", "likelihood", "prior", "objective", "divergence", "train", "metrics", "experiment")
# Their tracebacks are asked for; their folders and steps are the test's own.
LEFT_OUT = ("debug", "resume", "steps", "epochs", "data_root", "dataset.root")

WORDS = (
    "null",
    "true",
    "0",
    "-1",
    "1",
    "2",
    "1.5",
    "1e30",
    "-1e308",
    "nan",
    "inf",
    "''",
    "abc",
    "é",
    "'a b'",
    "[]",
    "{}",
)
SHAPES = (
    "'a b'",
    "[1,2]",
    "[null]",
    "{a: 1}",
    "{linear: [0, 4, 10]}",
    "{linear: [0]}",
    "{piecewise: []}",
    "{sum: [1, 2]}",
)
REFERENCES = ("${beta}", "${nope}", "${seed}", "???", "1,2", "range(3)", "interval(0,1)", "[", "{", "=", "'", "%", "~")
anything = st.sampled_from((*WORDS, *SHAPES, *REFERENCES))
garbage = st.text("abc01.,-[]{}:'\"$ \\\té%=~+/", max_size=10)


@cache
def keys(chosen: tuple[str, ...]) -> dict[str, object]:
    """Every key that a person may set, with its value."""
    found = dict(leaves(resolved(*BASE, *chosen)))
    return {key: value for key, value in found.items() if key not in LEFT_OUT and not key.startswith("choices.")}


def alike(value: object) -> st.SearchStrategy[str]:
    """Values of the type that stands there."""
    if isinstance(value, bool):
        return st.sampled_from(("true", "false"))
    if isinstance(value, int):
        return st.integers(1, 3000).map(str)
    if isinstance(value, float):
        return st.floats(1e-9, 1e9).map(repr)
    if isinstance(value, list):
        return st.lists(st.floats(0, 3), min_size=1, max_size=3).map(str)
    words = ("1", "8", "0.5", "1e-4", "auto", "cpu", "normal", "mss", "enumerate", "concrete", "imq", "restart")
    return st.sampled_from(words)


@st.composite
def command(draw: st.DrawFn) -> list[str]:
    """A setting, and one or two things that somebody may type after it."""
    chosen = draw(st.sampled_from(SETTINGS))
    typed = []
    for _ in range(draw(st.sampled_from((1, 1, 2)))):
        kind = draw(st.sampled_from(("key", "key", "key", "key", "group", "garbage")))
        if kind == "garbage":
            typed.append(draw(garbage))
        elif kind == "group":
            choice = draw(
                st.sampled_from(("null", "''", "abc", "[a,b]", "normal", "vae", "mmd", "default", "pinwheel"))
            )
            typed.append(f"{draw(st.sampled_from(GROUPS))}={choice}")
        else:
            key = draw(st.sampled_from(sorted(keys(chosen))))
            value = draw(st.one_of(alike(keys(chosen)[key]), alike(keys(chosen)[key]), anything, garbage))
            prefix = draw(st.sampled_from(("", "", "", "", "+", "++", "~")))
            misspelt = draw(st.integers(0, 9)) == 0
            typed.append(f"{prefix}{key[:-1] if misspelt else key}={value}")
    return [*chosen, *typed]


numbers = count()


def try_it(typed: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = home / str(next(numbers))
    place.mkdir()
    os.chdir(place)
    code = main([*BASE, *typed, "hydra.run.dir=run"])
    errors = capsys.readouterr().err
    assert code in (0, 2, 3), errors
    assert "Traceback" not in errors
    if code == 2:
        assert errors.startswith("error: "), errors
        assert len(errors.splitlines()) == 1, errors
        assert not list(place.iterdir())
    else:
        assert (place / "run" / "metrics.json").exists() == (code == 0)
    os.chdir(home)
    shutil.rmtree(place)


EVERY = settings(
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=(HealthCheck.function_scoped_fixture, HealthCheck.too_slow),
)


@pytest.mark.usefixtures("one_thread")
@settings(EVERY, max_examples=12, derandomize=True)
@given(typed=command())
def test_a_dozen_commands(typed: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try_it(typed, workplace, capsys)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@settings(EVERY, max_examples=1000)
@given(typed=command())
def test_a_thousand_commands(typed: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try_it(typed, workplace, capsys)

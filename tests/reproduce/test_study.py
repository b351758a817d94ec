"""The studies' files: every installed one is whole, and a bad one is refused in one line."""

from itertools import product
from pathlib import Path

import pytest
import yaml

from hfvae_runner.config import schema
from hfvae_runner.errors import ConfigError
from hfvae_runner.launch.composition import composed, parse_overrides
from hfvae_runner.reproduce.study import SIZES, Size, load, names
from hfvae_runner.runs.parts import check_before_reading

pytestmark = pytest.mark.usefixtures("workplace")

SMALLEST = {
    "title": "t",
    "paper": "p",
    "shows": "s",
    "data": ["digits"],
    "sweeps": {"one": {"command": [], "sizes": {"smoke": ["steps=2"]}}},
    "differs": {},
    "figure": {"kind": "boxes", "caption": "c", "groups": [{"label": "l", "runs": {"sweep": "one"}}]},
}


def job(overrides: tuple[str, ...], place: int) -> list[str]:
    """The first (0) or the last (-1) job of a sweep."""
    given = {each.get_key_element(): each for each in parse_overrides(overrides)}
    return [
        f"{key}={list(override.sweep_string_iterator())[place]}"
        if override.is_sweep_override()
        else str(override.input_line)
        for key, override in given.items()
    ]


@pytest.mark.parametrize(
    ("size", "place"),
    [
        ("cpu", -1),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in product(SIZES, (0, -1)) if each != ("cpu", -1)),
    ],
)
@pytest.mark.parametrize("name", names())
def test_every_sweep_is_accepted(name: str, size: Size, place: int) -> None:
    _, study = load(name)
    assert {"smoke", "paper"} <= set(study.sizes())
    for sweep in study.sweeps_of(size).values():
        check_before_reading(schema.parse(composed(job(sweep.overrides(size), place))))


@pytest.mark.parametrize("name", names())
def test_a_selection_finds_settings_that_a_run_has(name: str) -> None:
    _, study = load(name)
    chosen = [row.runs for row in study.rows] + [each for claim in study.claims for each in (claim.method, claim.than)]
    chosen += [trend.runs for trend in study.trends] + [share.runs for share in study.shares]
    chosen += [group.runs for group in study.figure.groups]
    chosen += [each for transfer in study.transfers for each in (transfer.runs, transfer.to)]
    for selection in chosen:
        for sweep in selection.sweeps:
            typed = " ".join(study.sweeps[sweep].overrides("paper"))
            for key in selection.where:
                assert f"{key}=" in typed, f"{selection}: {key} is not swept"


def write(path: Path, **changes: object) -> str:
    path.write_text(yaml.safe_dump({**SMALLEST, **changes}))
    return str(path)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    name, study = load(write(tmp_path / "mine.yaml"))
    assert name == "mine" and study.sizes() == ["smoke"]
    assert study.sweeps["one"].overrides("smoke") == ("steps=2",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": "t"}, "mine.yaml: titel: unknown key; expected one of title"),
        (
            {"rows": [{"what": "w", "runs": {"sweep": "on"}, "quantity": {"metric": "m"}}]},
            "sweep=on: expected one of one",
        ),
        (
            {
                "shares": [
                    {"what": "w", "runs": {"sweep": ["one", "to"]}, "quantity": {"metric": "m"}, "by": [["beta"]]}
                ]
            },
            "sweep=to: expected one of one",
        ),
        (
            {"rows": [{"what": "w", "runs": {"sweep": "one"}, "quantity": {"metric": "m"}, "best_of": 2}]},
            "best_of=2: expected better=higher or lower beside it",
        ),
        ({"sweeps": {"one": {"command": [], "sizes": {"huge": []}}}}, "mine.yaml: sweeps"),
        (
            {"figure": {**SMALLEST["figure"], "kind": "pie"}},
            "expected one of boxes, lines, scatter, pictures, figures, correlations, computed",
        ),  # type: ignore[dict-item]
    ],
)
def test_a_file_that_is_no_study(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml") as refused:
        load(write(tmp_path / "mine.yaml", **changes))
    assert message in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[", b"!!python/object/apply:os.system ['true']", b"text"])
def test_what_is_not_a_mapping(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        load(str(tmp_path / "mine.yaml"))


def test_an_unknown_name_and_a_missing_file() -> None:
    with pytest.raises(ConfigError, match=r"hfvae_fig77: no such study; .* did you mean 'hfvae_fig7'"):
        load("hfvae_fig77")
    with pytest.raises(ConfigError, match=r"nothing\.yaml cannot be read"):
        load("nothing.yaml")

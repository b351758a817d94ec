"""What the report makes of learned priors and of the runs' own pictures."""

import csv
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imsave
from reporting import THIRD, config, drawn, figure_names, leave, metrics, rows

from hfvae_runner.errors import DataError
from hfvae_runner.figures.density import PANEL, SIZE, aggregate_posterior
from hfvae_runner.report import main, pictures

GRID = "grid_aggregate_posterior"
PIXELS = (round(100 * SIZE[1]), round(100 * SIZE[0]))


def isa(*exponents: object, root: object = 2.1, learned: object = True) -> dict[str, object]:
    prior = {"name": "isa", "exponents": list(exponents), "root_exponent": root, "learned": learned}
    return metrics() | {"prior": prior}


def png(path: Path, shade: int = 100, shape: tuple[int, ...] = PIXELS) -> None:
    imsave(path, np.full((*shape, 3), shade, np.uint8))


def pinwheel(home: Path, alpha: object, beta: object, seed: int = 0, **content: object) -> Path:
    """A run's figures folder; of no content it is a completed run."""
    name = f"alpha={alpha},beta={beta},seed={seed}"
    run = leave(home / name, config(alpha=alpha, beta=beta, seed=seed), **(content or {"metrics": metrics()}))  # type: ignore[arg-type]
    return run / "figures"


# Learned priors


def test_learned_numbers_have_columns(tmp_path: Path) -> None:
    scale = {"likelihood": {"name": "gaussian", "scale": 0.3}}
    leave(tmp_path / "a", config(seed=0), isa(1.9, 2.5) | scale)
    leave(tmp_path / "b", config(seed=1), isa(1, 2, *[3.0] * 9, root=THIRD))
    leave(tmp_path / "c", config(seed=2), metrics() | {"prior": {"name": "mixture", "means": [[0, 1], [2, 3]]}})
    assert main([str(tmp_path)]) == 0
    first, second, third = rows(tmp_path)
    assert (first["prior/exponents[0]"], first["prior/exponents[1]"], first["prior/exponents[2]"]) == ("1.9", "2.5", "")
    assert (first["prior/root_exponent"], first["prior/learned"], first["likelihood/scale"]) == ("2.1", "true", "0.3")
    assert float(second["prior/root_exponent"]) == THIRD
    assert third["prior/means[1][0]"] == "2"
    with (tmp_path / "results.csv").open(newline="") as stream:
        columns = next(csv.reader(stream))
    exponents = [f"prior/exponents[{i}]" for i in range(11)]
    assert columns[columns.index(exponents[0]) :][:13] == [*exponents, "prior/root_exponent", "prior/learned"]
    assert not any("name" in column for column in columns)


def test_learned_exponents_of_all_runs_are_one_figure(tmp_path: Path) -> None:
    for seed in range(3):
        leave(tmp_path / f"isa{seed}", config(seed=seed, prior__learned=True), isa(2.0 + seed, 1.5))
    leave(tmp_path / "fixed", config(beta=7), isa(9.0, 9.0, learned=False))
    leave(tmp_path / "normal", config(beta=5), metrics())
    found = drawn(tmp_path)
    assert {name for name in found if "exponents" in name} == {"learned_exponents"}
    first, second = found["learned_exponents"].figure.axes
    assert sum(bar.get_height() for bar in first.patches) == sum(bar.get_height() for bar in second.patches) == 3
    assert first.get_xlim()[1] < 5


def test_each_number_of_exponents_has_its_own_figure_and_old_ones_go(tmp_path: Path) -> None:
    leave(tmp_path / "a", config(), isa(2.0, 1.5))
    leave(tmp_path / "b", config(seed=1), isa(2.0))
    assert main([str(tmp_path)]) == 0
    assert figure_names(tmp_path) >= {"learned_exponents_1", "learned_exponents_2"}
    (tmp_path / "b" / "metrics.json").unlink()
    assert main([str(tmp_path)]) == 0
    assert figure_names(tmp_path) == {"learned_exponents"}
    assert "learned exponents" in (tmp_path / "report.html").read_text().lower()


@pytest.mark.parametrize(
    "section",
    [
        {"exponents": [], "root_exponent": 2.1, "learned": True},
        {"exponents": [2.0, None], "root_exponent": 2.1, "learned": True},
        {"exponents": [2.0, "2"], "root_exponent": 2.1, "learned": True},
        {"exponents": [[2.0]], "root_exponent": 2.1, "learned": True},
        {"exponents": [2.0], "root_exponent": None, "learned": True},
        {"exponents": [2.0], "learned": True},
        {"exponents": 2.0, "root_exponent": 2.1, "learned": True},
        {"exponents": [2.0], "root_exponent": 2.1, "learned": False},
        [],
    ],
)
def test_a_prior_without_learned_exponents_has_no_figure(tmp_path: Path, section: object) -> None:
    leave(tmp_path / "a", config(), metrics() | {"prior": section})
    assert not drawn(tmp_path)


def test_an_exponent_too_large_for_a_number_is_not_drawn(tmp_path: Path) -> None:
    run = leave(tmp_path / "a", config(), isa(2.0, 1.5))
    text = (run / "metrics.json").read_text()
    (run / "metrics.json").write_text(text.replace("1.5", "1e999"))
    assert not drawn(tmp_path)


# The grid of aggregate posteriors


def shades(figure: Figure) -> dict[tuple[int, int], int]:
    """Row, column and brightness of the pictures of a grid."""
    extents = [(image.get_extent(), image.get_array()) for image in figure.axes[0].images]
    return {(int(upper), int(left)): int(np.asarray(array)[0, 0, 0]) for (left, _, _, upper), array in extents}


def test_pictures_of_two_settings_are_a_grid_of_the_smallest_seeds(tmp_path: Path) -> None:
    for r, alpha in enumerate((0, 5, 10)):
        for c, beta in enumerate((0.1, 2)):
            for seed in (10, 9):
                png(pinwheel(tmp_path, alpha, beta, seed) / "aggregate_posterior.png", 10 * seed + 3 * r + c)
    plot = drawn(tmp_path)[GRID]
    assert shades(plot.figure) == {(r, c): 90 + 3 * r + c for r in range(3) for c in range(2)}
    words = {text.get_text() for text in plot.figure.axes[0].texts}
    assert words == {"alpha = 0", "alpha = 5", "alpha = 10", "beta = 0.1", "beta = 2"}
    assert plot.caption.endswith("the contours give the scale.")


def test_a_broken_picture_and_a_missing_run_are_named(tmp_path: Path) -> None:
    png(pinwheel(tmp_path, 0, 1) / "aggregate_posterior.png", 7)
    png(pinwheel(tmp_path, 1, 1) / "aggregate_posterior.png", 8)
    (pinwheel(tmp_path, 0, 2) / "aggregate_posterior.png").write_bytes(b"<html>")
    pinwheel(tmp_path, 1, 2, status={"status": "diverged", "reason": "kl"})
    assert main([str(tmp_path)]) == 0
    assert GRID in figure_names(tmp_path)
    plot = drawn(tmp_path)[GRID]
    assert shades(plot.figure) == {(0, 0): 7, (1, 0): 8}
    words = [text.get_text() for text in plot.figure.axes[0].texts]
    assert words.count("unreadable") == words.count("not completed") == 1
    reason = "alpha=0 beta=2: aggregate_posterior.png cannot be read: it is no PNG."
    assert reason in plot.caption
    page = (tmp_path / "report.html").read_text()
    assert reason in page


def test_without_a_picture_of_every_completed_run_there_is_no_grid(tmp_path: Path) -> None:
    for alpha in (0, 1):
        for beta in (1, 2):
            png(pinwheel(tmp_path, alpha, beta) / "aggregate_posterior.png")
    assert GRID in drawn(tmp_path)
    (tmp_path / "alpha=0,beta=1,seed=0" / "figures" / "aggregate_posterior.png").unlink()
    assert GRID not in drawn(tmp_path)


def test_only_two_settings_that_cross_make_a_grid(tmp_path: Path) -> None:
    for value in (0, 1, 2):
        png(pinwheel(tmp_path, 1, value) / "aggregate_posterior.png")
    assert GRID not in drawn(tmp_path)
    png(pinwheel(tmp_path, 2, 5) / "aggregate_posterior.png")
    assert GRID not in drawn(tmp_path)  # 4 of 2 × 4 places


def test_more_pictures_than_can_be_seen_make_no_grid(tmp_path: Path) -> None:
    for beta in range(13):
        for alpha in (0, 1):
            png(pinwheel(tmp_path, alpha, beta) / "aggregate_posterior.png")
    assert GRID not in drawn(tmp_path)


def test_the_panel_of_a_runs_own_figure_is_its_density(tmp_path: Path) -> None:
    density = np.zeros((50, 50))
    density[0, 0] = density[-1, -1] = 1
    figure = aggregate_posterior(density, (-1, 1, -1, 1), np.eye(50) + 1, np.zeros((1, 2)))
    path = tmp_path / "aggregate_posterior.png"
    figure.savefig(path, dpi=150)
    panel = pictures.aggregate_posterior(path)
    side = round(150 * SIZE[0] * PANEL[2])
    assert panel.shape == (side, side, 3)
    assert panel.dtype == np.uint8
    dark, pale = panel[-side // 100 - 5, side // 100], panel[side // 100 + 3, side // 100]
    assert dark.mean() < 120
    assert pale.mean() > 230
    assert panel[side // 100 + 3, -side // 100].mean() < 120


def header(width: int, height: int) -> bytes:
    """A PNG's first bytes, of any claimed size."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is no PNG"),
        (b"\x89PNG\r\n\x1a\n", "it is no PNG"),
        (header(720, 630), "cannot be read"),
        (header(72_000, 63_000), "72000 × 63000 pixels"),
        (header(720, 720), "720 × 720 pixels; expected a figure of 7.2 × 6.3 inches"),
        (header(0, 0), "0 × 0 pixels"),
    ],
)
def test_what_is_no_picture_is_refused_before_it_is_unpacked(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "aggregate_posterior.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        pictures.aggregate_posterior(path)


def test_a_picture_with_damage_is_refused_or_read_but_never_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "aggregate_posterior.png"
    png(path, shape=(63, 72))
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole[: generator.integers(30, len(whole) + 1)])
        for place in generator.integers(8, len(damaged), generator.integers(0, 4)):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(damaged)
        try:
            assert pictures.aggregate_posterior(path).shape[0] > 0
        except DataError:
            refused += 1
    assert refused > 100


def test_a_grey_picture_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "aggregate_posterior.png"
    Image.new("L", (720, 630)).save(path)
    with pytest.raises(DataError, match="grey"):
        pictures.aggregate_posterior(path)

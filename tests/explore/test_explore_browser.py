"""The explorer in a real browser: it decodes like torch, follows its controls, and asks for nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsing import watched
from comparing import last
from scipy.special import ndtr

import hfvae_runner
from hfvae_runner.api.loading import Run
from hfvae_runner.explore.command import main

SMALL = ("device=cpu", "batch_size=64", "metrics=hoyer", "metrics.figures=false", "train.progress=false", "threads=1")
RUNS = {
    "mlp": ("image_size=16", "steps=60", "lr=3e-3"),
    "infogan": (
        *("image_size=16", "steps=60", "lr=3e-3", "objective=infogan"),
        *("latents=2", "prior.noise=2", "prior.categories=3"),
    ),
    "conv": ("model=conv_joint32", "image_size=32", "steps=60", "lr=3e-3", "likelihood=continuous_bernoulli"),
}


@pytest.fixture(scope="module", params=["mlp", pytest.param("conv", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp(request.param) / "a run"
    run = hfvae_runner.train([*SMALL, *RUNS[request.param], f"hydra.run.dir='{folder}'"], device="cpu")
    torch.set_num_threads(threads)
    assert last(folder)["step"] > 0
    assert main([str(folder)]) == 0
    return run


@pytest.fixture
def page(browser: Any, run: Run) -> Iterator[Any]:
    with watched(browser, run.folder / "explore.html") as page:
        page.wait_for_selector("body[data-ready=true]")  # not wait_for_function, whose code the page's policy forbids
        yield page


def picture(page: Any, canvas: str = "decoded") -> str:
    """The content of a canvas as a PNG."""
    url: str = page.evaluate("(id) => document.getElementById(id).toDataURL()", canvas)
    return url


def test_it_decodes_like_torch(page: Any, run: Run) -> None:
    """Within 1/255, with numbers of 16 bits, at draws from the prior that no example has."""
    generator = np.random.default_rng(0)
    continuous, categories = generator.standard_normal((20, 10)).astype(np.float32), generator.integers(0, 10, 20)
    rows = [[*map(float, row), int(category)] for row, category in zip(continuous, categories, strict=True)]
    found = np.array(page.evaluate("(rows) => rows.map(window.decoded)", rows))
    expected = run.decode(continuous, {"class": categories}).reshape(20, -1)
    assert np.abs(found - expected).max() < 1 / 255


def test_a_slider_and_a_choice_change_the_picture(page: Any) -> None:
    before, reconstruction = picture(page), picture(page, "reconstruction")
    assert before == reconstruction
    name = page.locator("#variables input[type=range]").first.get_attribute("aria-label")
    page.get_by_label(name, exact=True).focus()
    for _ in range(5):
        page.keyboard.press("PageUp")
    moved = picture(page)
    assert moved != before and picture(page, "reconstruction") == reconstruction
    checked = page.locator("#variables input[type=radio]:checked")
    category = checked.get_attribute("value")
    checked.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#variables input[type=radio]:checked").get_attribute("value") != category
    assert picture(page) != moved
    page.get_by_role("button", name="Back to the example").click()
    assert picture(page) == before


def test_another_example_and_a_step_of_the_traversal(page: Any) -> None:
    before = picture(page)
    page.locator("#presets button").nth(4).click()
    assert page.locator("#presets [aria-pressed=true]").count() == 1
    other = picture(page)
    assert other != before
    page.wait_for_timeout(1500)  # the traversal follows when the hand rests, and takes several decodings
    page.locator("#traversal button").first.click()
    assert picture(page) != other
    page.locator("#traversed").select_option(label="class")
    assert page.locator("#traversal button").count() == 10


def test_the_map_by_keys_and_by_hand(page: Any) -> None:
    page.locator("#map").focus()
    first = page.locator("#seen-about").inner_text()
    page.keyboard.press("ArrowRight")
    second = page.locator("#seen-about").inner_text()
    assert second != first
    page.keyboard.press("Enter")
    assert page.locator("#about").inner_text() == second
    page.locator("#across").select_option(label="class")
    box = page.locator("#map").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.locator("#legend li").count() == 10


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        *((360, "light"), (1400, "dark"), (3840, "light")),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((360, "dark"), (1400, "light"), (3840, "dark"))),
    ],
)
def test_it_fits_the_window(page: Any, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.parametrize("run", ["infogan"], indirect=True)
def test_uniform_codes_are_decoded_like_torch(page: Any, run: Run) -> None:
    generator = np.random.default_rng(0)
    continuous, categories = 2 * generator.standard_normal((20, 4)).astype(np.float32), generator.integers(0, 3, 20)
    rows = [
        [*map(float, row[:2]), int(category), *map(float, row[2:])]
        for row, category in zip(continuous, categories, strict=True)
    ]
    found = np.array(page.evaluate("(rows) => rows.map(window.decoded)", rows))
    expected = run.decode(continuous, {"class": categories}).reshape(20, -1)
    assert np.abs(found - expected).max() < 1 / 255
    values = np.linspace(-6, 6, 101)
    mapped = np.array(page.evaluate("(values) => values.map(uniformOf)", values.tolist()))
    np.testing.assert_allclose(mapped, 2 * ndtr(values) - 1, atol=2e-7)


@pytest.mark.parametrize("run", ["mlp"], indirect=True)
def test_precomputed_pictures_follow_the_controls(browser: Any, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "pictures.html"
    assert main([str(run.folder), f"out={path}", "limit=0"]) == 0
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready=true]")  # not wait_for_function, whose code the page's policy forbids
    before = picture(page)
    slider = page.locator("#variables input[type=range]").first
    slider.fill(slider.get_attribute("max"))
    assert picture(page) != before
    assert page.get_by_role("button", name="Random code").is_hidden()
    page.close()

"""The page in a real browser: it sorts, shows all its images, asks for nothing, and fits a phone."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import pytest
from browsing import near, watched
from PIL import Image
from reporting import config, leave, metrics

from hfvae_runner.launch.composition import composed
from hfvae_runner.report import main, plots

api = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install playwright")

PHONE = {"width": 360, "height": 740}
ELBO = {"a b#é&'": -99.5, "b": -1000.25, "c": -9.0, "d": -100.0}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on four runs and a failed one, with every kind of content."""
    home = tmp_path_factory.mktemp("a report")
    for beta, (name, elbo) in enumerate(ELBO.items()):
        run = leave(home / name, config(beta=2.0**beta, seed=9 + beta), metrics(elbo=elbo), figures=["kl_history"])
        Image.effect_noise((1600, 1200), 50).convert("RGB").save(run / "figures" / "traversals.png")
        if beta < 2:
            (run / "history.csv").write_text(
                "step,epoch,elbo,term/kl,kl/z[0]\n" + "".join(f"{i},1,{-i},{i * beta},1\n" for i in range(1, 300))
            )
    reason = "group_tc is not finite at step 1200; " + "/a/very/long/path" * 12
    leave(home / "0", config(beta=64), status={"status": "diverged", "reason": reason})
    assert main([str(home)]) == 0
    return home


@pytest.fixture
def page(browser: "api.Browser", home: Path) -> Iterator["api.Page"]:
    with watched(browser, home / "report.html") as page:
        yield page


def column(page: "api.Page", title: str) -> list[str]:
    """The cells of the table of runs below a head, from the top."""
    heads = page.locator("table").nth(1).locator("thead th").all_inner_texts()
    place = [head.strip() for head in heads].index(title) + 1
    return page.locator("table").nth(1).locator(f"tbody tr td:nth-child({place})").all_inner_texts()


def test_a_column_sorts_by_its_numbers_both_ways_and_what_failed_stays_last(page: "api.Page") -> None:
    assert column(page, "run") == ["0", "a b#é&'", "b", "c", "d"]
    head = page.locator("table").nth(1).get_by_role("columnheader", name="ELBO")
    assert head.get_attribute("aria-sort") is None
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, "ELBO") == ["-1000.2", "-100.0", "-99.5", "-9.0", "-"]
    assert column(page, "run") == ["b", "d", "a b#é&'", "c", "0"]
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, "ELBO") == ["-9.0", "-99.5", "-100.0", "-1000.2", "-"]
    page.locator("table").nth(1).get_by_role("button", name="beta").click()
    assert head.get_attribute("aria-sort") is None
    assert column(page, "beta") == ["1", "2", "4", "8", "64"]


def test_a_filter_and_chosen_columns_are_what_is_copied(page: "api.Page") -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tools, table = page.locator(".tools").nth(1), page.locator("table").nth(1)
    tools.get_by_role("searchbox", name="Filter").fill("ELBO > -100, completed")
    assert table.locator("tbody tr:visible").count() == 2
    assert tools.locator("output").inner_text() == "2 of 5 rows"
    tools.get_by_text("Columns").click()
    for box in tools.get_by_role("checkbox").all():
        if box.evaluate("(box) => box.parentElement.textContent.trim()") not in ("run", "ELBO"):
            box.uncheck()
    copied = {}
    for name in ("Markdown", "LaTeX", "CSV"):
        tools.get_by_role("button", name=name).click()
        api.expect(tools.locator("output")).to_have_text(f"{name} is copied")
        copied[name] = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert copied["Markdown"] == ["| run | ELBO |", "|---|---|", "| a b#é&' | -99.5 |", "| c | -9.0 |"]
    assert copied["LaTeX"][4:6] == ["a b\\#é\\&' & -99.5 \\\\", "c & -9.0 \\\\"]
    assert copied["CSV"] == ["run,ELBO", "a b#é&',-99.5", "c,-9.0"]


def pin(page: "api.Page", name: str) -> "api.Locator":
    """The toggle in a run's row of the table of runs."""
    row = page.locator("table").nth(1).locator("tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))
    return row.get_by_role("button", name="Pin this row")


def test_pinned_rows_stay_on_top_in_the_order_of_the_column_and_pass_any_filter(page: "api.Page") -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tools, table = page.locator(".tools").nth(1), page.locator("table").nth(1)
    head = table.get_by_role("columnheader", name="ELBO").get_by_role("button")
    pin(page, "d").click()
    assert column(page, "run") == ["d", "0", "a b#é&'", "b", "c"]
    pin(page, "0").focus()
    page.keyboard.press("Enter")
    api.expect(pin(page, "0")).to_be_focused()
    api.expect(pin(page, "0")).to_have_attribute("aria-pressed", "true")
    assert column(page, "run") == ["0", "d", "a b#é&'", "b", "c"]
    head.click()
    assert column(page, "run") == ["d", "0", "b", "a b#é&'", "c"]
    head.click()
    assert column(page, "run") == ["d", "0", "c", "a b#é&'", "b"]
    tools.get_by_role("searchbox", name="Filter").fill("ELBO > -100")
    assert table.locator("tbody tr:visible td:first-child").all_inner_texts() == ["d", "0", "c", "a b#é&'"]
    assert tools.locator("output").inner_text() == "2 of 5 rows, and 2 pinned"
    for name, cell in {"Markdown": r"\| ([^|]+) \|", "LaTeX": "(.+?) &", "CSV": "(.+?),"}.items():
        tools.get_by_role("button", name=name).click()
        api.expect(tools.locator("output")).to_have_text(f"{name} is copied")
        found = [re.match(cell, line) for line in page.evaluate("navigator.clipboard.readText()").splitlines()]
        assert [each[1].replace("\\", "") for each in found if each] == ["run", "d", "0", "c", "a b#é&'"]
    pin(page, "d").click()
    api.expect(pin(page, "d")).to_be_hidden()
    tools.get_by_role("searchbox", name="Filter").fill("")
    assert column(page, "run") == ["0", "c", "a b#é&'", "d", "b"]


def test_pins_move_to_the_first_column_that_is_shown_and_go_all_at_once(page: "api.Page") -> None:
    tools, table = page.locator(".tools").nth(1), page.locator("table").nth(1)
    unpin = tools.get_by_role("button", name="Unpin all")
    api.expect(unpin).to_be_disabled()
    tools.get_by_text("Columns").click()
    shown = tools.get_by_role("checkbox", name="run", exact=True)
    shown.uncheck()
    toggles = table.get_by_role("button", name="Pin this row")
    assert [toggle.is_visible() for toggle in toggles.all()] == [True] * 5
    toggles.nth(3).click()
    toggles.nth(4).click()
    shown.check()
    assert column(page, "run") == ["c", "d", "0", "a b#é&'", "b"]
    assert table.locator("tbody td:first-child .pin").count() == 5
    unpin.click()
    assert table.locator("tbody tr.pinned").count() == 0
    api.expect(unpin).to_be_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pinned_rows_look_apart(page: "api.Page", scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    pin(page, "c").click()
    colours = (
        page.locator("table")
        .nth(1)
        .locator("tbody tr")
        .evaluate_all("(rows) => rows.map((row) => getComputedStyle(row.cells[0]).backgroundColor)")
    )
    assert len(set(colours[1:])) == 1 and colours[0] != colours[1]


def test_the_best_rows_by_the_sorted_metric_are_pinned(browser: "api.Browser", tmp_path: Path) -> None:
    for beta, (elbo, mig) in {1: (-3.0, 0.5), 2: (-1.0, 0.1), 4: (-2.0, 0.2), 8: (-4.0, 0.4)}.items():
        leave(tmp_path / str(beta), config(beta=beta), metrics(elbo=elbo, mig=mig))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "plots", lambda settings: iter(()))
        assert main([str(tmp_path)]) == 0
    with watched(browser, tmp_path / "report.html") as page:
        table = page.locator("table").nth(0)
        betas = table.locator("tbody td:first-child")
        best = page.get_by_role("button", name="Pin best")  # the table of runs marks none
        best.click()
        assert betas.all_inner_texts() == ["2", "4", "1", "8"]
        api.expect(page.locator("output").first).to_have_text("Pinned: best and second best mean ELBO")
        for toggle in table.get_by_role("button", name="Pin this row", pressed=True).all()[::-1]:
            toggle.click()
        assert betas.all_inner_texts() == ["1", "2", "4", "8"]
        table.get_by_role("button", name="MIG").click()
        best.click()
        assert betas.all_inner_texts() == ["8", "1", "2", "4"]


def dots(page: "api.Page") -> dict[str, tuple[float, float]]:
    """The place of each run's dot, in pixels from the left and from the top."""
    links = page.locator("#plots svg.plot a")
    return {
        unquote(link.get_attribute("href")).rstrip("/"): tuple(
            float(link.locator("circle").get_attribute(name)) for name in ("cx", "cy")
        )
        for link in links.all()
    }


def test_a_plot_of_any_two_columns_follows_the_filter(page: "api.Page", tmp_path: Path) -> None:
    section = near(page, "#plots")
    section.get_by_label("across", exact=True).select_option(label="beta")
    section.get_by_label("up", exact=True).select_option(label="ELBO")
    places = dots(page)
    assert set(places) == set(ELBO)
    # From left to right by beta; the larger ELBO is higher, which is a smaller cy.
    assert sorted(places, key=lambda name: places[name][0]) == list(ELBO)
    assert sorted(places, key=lambda name: places[name][1]) == sorted(ELBO, key=ELBO.__getitem__, reverse=True)
    section.get_by_label("log across").check()
    across = [place for place, _ in dots(page).values()]
    steps = [right - left for left, right in pairwise(sorted(across))]
    assert max(steps) - min(steps) < 0.1  # powers of two
    section.get_by_label("colour", exact=True).select_option(label="beta")
    assert section.locator(".plot-legend-swatches > span").all_inner_texts() == ["1", "2", "4", "8"]
    with page.expect_download() as download:
        section.get_by_role("button", name="Save SVG").click()
    saved = tmp_path / "plot.svg"
    download.value.save_as(saved)
    assert saved.read_text().startswith("<svg")
    assert saved.read_text().count("<a ") == len(ELBO)
    section.get_by_role("searchbox", name="Filter").fill("beta > 2")
    assert set(dots(page)) == {"c", "d"}


def test_a_dot_says_which_run_it_is_and_opens_it(page: "api.Page", home: Path) -> None:
    section = near(page, "#plots")
    dot = section.locator("svg.plot a circle").first
    dot.hover()
    tip = section.locator("[aria-label=tip]")
    api.expect(tip).to_contain_text("ELBO: -99.5")
    api.expect(tip).to_contain_text("a b#é&'")
    assert section.locator("a").first.get_attribute("href") == "a%20b%23%C3%A9%26%27/"


def test_parallel_coordinates_have_a_line_per_run_and_the_chosen_axes(page: "api.Page") -> None:
    section = near(page, "#plots")
    section.get_by_label("as", exact=True).select_option(label="parallel coordinates")
    assert section.locator("svg.plot a path").count() == len(ELBO)
    section.get_by_text("Axes", exact=True).click()
    section.get_by_role("checkbox", name="seed", exact=True).check()
    axes = section.locator("svg.plot [aria-label='x-axis tick label'] text").all_text_contents()
    assert axes == ["beta", "seed", "ELBO"]


def test_training_curves_are_those_of_the_history(page: "api.Page") -> None:
    section = near(page, "#curves")
    assert section.get_by_label("column", exact=True).locator("option").all_inner_texts() == ["elbo", "term/kl"]
    assert section.locator("svg.plot a path").count() == 2
    assert section.locator(".plot-legend-swatches > span").all_inner_texts() == ["1", "2"]
    section.get_by_label("column", exact=True).select_option(label="term/kl")
    api.expect(section.locator("svg.plot")).to_have_attribute("aria-label", "term/kl over training, 2 runs")


def test_two_runs_are_compared(page: "api.Page") -> None:
    section = page.locator("#differences")
    section.get_by_label("first", exact=True).select_option(label="b")
    section.get_by_label("second", exact=True).select_option(label="d")
    cells = section.locator("tbody tr td").all_inner_texts()
    assert cells == ["beta", "2", "8"]
    section.get_by_label("second", exact=True).select_option(label="b")
    api.expect(section).to_contain_text("The same settings.")


def test_a_run_is_compared_with_the_defaults(browser: "api.Browser", tmp_path: Path) -> None:
    """As Hydra composes them, though the report does not import it."""
    for name, overrides in {"defaults": [], "other": ["objective=beta_vae", "beta=2", "lr=2e-3", "seed=7"]}.items():
        leave(tmp_path / name / "run", composed(overrides), metrics())
    leave(tmp_path / "other" / "second", composed([]), metrics())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "plots", lambda settings: iter(()))
        assert main([str(tmp_path / "defaults")]) == main([str(tmp_path / "other")]) == 0
    with watched(browser, tmp_path / "defaults" / "report.html") as page:  # of one run
        api.expect(page.locator("#differences")).to_contain_text("The same settings.")
    with watched(browser, tmp_path / "other" / "report.html") as page:
        section = page.locator("#differences")
        first, second = (section.get_by_label(name, exact=True) for name in ("first", "second"))
        assert first.locator("option").all_inner_texts() == ["the defaults", "run", "second"]
        assert second.locator("option").all_inner_texts() == ["run", "second"]
        first.select_option(label="the defaults")
        second.select_option(label="run")
        assert section.locator("thead th").all_inner_texts() == ["setting", "the defaults", "run"]
        rows = [row.locator("td").all_inner_texts() for row in section.locator("tbody tr").all()]
        assert {row[0]: row[1:] for row in rows if "." not in row[0]} == {
            "objective": ["hfvae", "beta_vae"],
            "alpha": ["1", "-"],
            "beta": ["12", "2"],
            "gamma": ["4", "-"],
            "discrete_density": ["argmax", "-"],
            "lr": ["0.001", "0.002"],
        }
        assert ["objective.terms.kl", "-", "2"] in rows
        second.select_option(label="second")
        api.expect(section).to_contain_text("The same settings.")


def test_all_images_are_there(page: "api.Page") -> None:
    images = page.locator("img").all()
    assert len(images) == 7  # four runs' traversals, and what a sweep over one number has
    for image in images:
        image.scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    assert all(image.evaluate("(image) => image.naturalWidth") > 0 for image in images)


def test_links_lead_to_what_exists(page: "api.Page", home: Path) -> None:
    links = page.locator("a").evaluate_all(
        "(links) => links.map((link) => new URL(link.getAttribute('href'), document.baseURI).href)"
    )
    paths = [Path(unquote(urlsplit(link).path)) for link in links]
    assert all(path.exists() for path in paths)
    assert {home / name for name in ELBO} <= {path for path in paths if path.is_dir()}


def test_a_phone_shows_it_without_scrolling_sideways(page: "api.Page") -> None:
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.body.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize(("width", "cut"), [(1400, True), (3840, False)])
def test_a_table_has_the_width_of_the_window(page: "api.Page", width: int, cut: bool) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    table = page.locator(".wide:has(table)").nth(1)
    assert table.evaluate("(frame) => frame.scrollWidth > frame.clientWidth") == cut


def test_a_link_to_a_run_opens_its_folder(browser: "api.Browser", home: Path) -> None:
    page = browser.new_page()
    page.goto((home / "report.html").as_uri())
    page.locator("table").nth(1).get_by_role("link", name="a b#é&'").click()
    page.wait_for_load_state()
    assert Path(unquote(urlsplit(page.url).path)) == home / "a b#é&'"
    page.close()


def test_the_page_reads_without_its_script(browser: "api.Browser", home: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((home / "report.html").as_uri())
    assert column(page, "status")[0].startswith("diverged")
    assert page.locator("button").count() == 0
    context.close()


def test_a_long_table_shows_its_first_rows_until_it_is_asked(browser: "api.Browser", tmp_path: Path) -> None:
    for seed in range(103):
        leave(tmp_path / f"{seed:03}", config(seed=seed), metrics(elbo=-float(seed)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "plots", lambda settings: iter(()))
        assert main([str(tmp_path)]) == 0
    shown = "table >> nth=1 >> tbody tr:visible"
    with watched(browser, tmp_path / "report.html") as page:
        assert page.locator(shown).count() == 100
        page.locator("table").nth(1).get_by_role("button", name="ELBO").click()
        assert page.locator(shown).count() == 103
        assert page.locator(shown).first.locator("td").first.inner_text() == "102"
        assert page.get_by_role("button", name="Show all").count() == 0
    with watched(browser, tmp_path / "report.html") as page:
        page.get_by_role("button", name="Show all 103 rows").click()
        assert page.locator(shown).count() == 103
    with watched(browser, tmp_path / "report.html") as page:
        pin(page, "099").click()
        page.locator(shown).nth(4).get_by_role("button", name="Pin this row").click()
        assert page.locator(f"{shown} >> td:first-child").all_inner_texts()[:4] == ["003", "099", "000", "001"]
        assert page.locator(shown).count() == 100
        page.get_by_role("button", name="Show all 103 rows").click()
        pin(page, "003").click()
        assert page.locator(f"{shown} >> td:first-child").all_inner_texts()[:5] == ["099", "000", "001", "002", "003"]
        assert page.locator(f"{shown} >> td:first-child").all_inner_texts()[-2:] == ["101", "102"]
    with watched(browser, tmp_path / "report.html") as page:
        page.locator(".tools").nth(1).get_by_role("searchbox").fill("ELBO < -100")
        assert page.locator(shown).count() == 2


def test_names_stay_text_in_tables_plots_and_tips(browser: "api.Browser", tmp_path: Path) -> None:
    evil = "<img src=x onerror=\"document.title='taken'\">"
    for number, objective in enumerate((evil, "hfvae")):
        run = leave(
            tmp_path / f"{number}{evil.replace('/', '')}", config(objective=objective), metrics(elbo=-1.0 - number)
        )
        (run / "history.csv").write_text(f'step,elbo,"{evil.replace(chr(34), chr(34) * 2)}"\n1,-2,3\n2,-1,{number}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "plots", lambda settings: iter(()))
        assert main([str(tmp_path)]) == 0
    with watched(browser, tmp_path / "report.html") as page:
        section = near(page, "#plots")
        section.get_by_label("colour", exact=True).select_option(label="objective")
        assert evil in section.locator(".plot-legend-swatches > span").all_text_contents()
        section.locator("svg.plot a circle").first.hover()
        # Its lines are wrapped at spaces.
        api.expect(section.locator("[aria-label=tip]")).to_contain_text("<img src=x")
        assert evil in near(page, "#curves").get_by_label("column", exact=True).locator("option").all_text_contents()
        assert evil in page.locator("#differences td").all_text_contents()
        assert page.locator("img").count() == 0
        assert "taken" not in page.title()

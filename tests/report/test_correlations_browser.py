"""The correlations that the page computes, in a real browser."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browsing import near, watched
from reporting import config, leave, metrics
from scipy import stats

from hfvae_runner.report import main, plots

api = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install playwright")


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on 24 runs whose metrics have ties and missing values; one metric is never with another one."""
    home = tmp_path_factory.mktemp("uneven")
    draw = np.random.default_rng(0)
    for seed in range(24):
        elbo, kl, mig = (round(float(each), 1) for each in draw.normal(size=3))
        found = metrics(
            elbo=elbo,
            kl=None if seed % 5 == 0 else round(kl + elbo, 1),
            mig=mig if seed < 12 else None,
            sap=None if seed < 12 else kl,
            total_correlation=draw.integers(3),
        )
        found = json.loads(json.dumps(found, default=int))
        leave(home / f"{seed:02}", config(beta=2.0 ** (seed % 3), gamma=seed // 12, seed=seed), found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "plots", lambda settings: iter(()))
        assert main([str(home)]) == 0
    return home


CORRELATED = ("beta", "gamma", "ELBO", "KL", "MIG", "SAP", "total correlation")


def correlated(page: "api.Page") -> "api.Locator":
    """The plots' section with the map of the correlations of all of CORRELATED."""
    section = near(page, "#plots")
    section.get_by_label("as", exact=True).select_option(label="correlations")
    section.get_by_text("Axes", exact=True).click()
    for box in section.locator("details").get_by_role("checkbox").all():
        box.set_checked(box.evaluate("(box) => box.parentElement.textContent.trim()") in CORRELATED)
    return section


def cells(section: "api.Locator") -> dict[tuple[str, str], str]:
    """The number in each cell of the map of correlations, by row and column; empty for an empty cell."""
    names = {}
    for axis, which in (("x", "e"), ("y", "f")):
        labels = section.locator(f"[aria-label='{axis}-axis tick label'] text")
        places = labels.evaluate_all(f"(all) => all.map((each) => each.transform.baseVal[0].matrix.{which})")
        names[axis] = dict(zip(places, labels.all_text_contents(), strict=True))

    def nearest(axis: str, place: float) -> str:
        return names[axis][min(names[axis], key=lambda label: abs(label - place))]

    found = dict.fromkeys(itertools.product(names["y"].values(), names["x"].values()), "")
    texts = section.locator("svg.plot > [aria-label=text] text")
    places = texts.evaluate_all("(all) => all.map((each) => each.transform.baseVal[0].matrix).map(({e, f}) => [e, f])")
    for (x, y), text in zip(places, texts.all_text_contents(), strict=True):
        found[nearest("y", y), nearest("x", x)] = text.replace("\N{MINUS SIGN}", "-")
    return found


def test_correlations_are_scipy_s_with_ties_and_missing_values(browser: "api.Browser", uneven: Path) -> None:
    with (uneven / "results.csv").open() as stream:
        table = pd.read_csv(stream)
    keys = ("beta", "gamma", "test/elbo", "test/kl", "test/mig", "test/sap", "test/total_correlation")
    columns = {title: table[key] for title, key in zip(CORRELATED, keys, strict=True)}
    with watched(browser, uneven / "report.html") as page:
        section = correlated(page)
        shown = cells(section)
        assert len(shown) == len(CORRELATED) ** 2
        found = page.evaluate("spearman(COLUMNS.filter((column) => column.numeric), DATA.runs.map((_, run) => run))")
        found = {(each["one"], each["other"]): (each["value"], each["count"]) for each in found}
        for pair, text in shown.items():
            value, count = found.get(pair) or found[pair[::-1]]
            both = pd.DataFrame({"x": columns[pair[0]], "y": columns[pair[1]]}).dropna()
            assert count == len(both)
            if len(both) and (both.nunique() > 1).all():
                expected = stats.spearmanr(both["x"], both["y"]).statistic
                assert value == pytest.approx(expected, abs=1e-12)
                assert float(text) == pytest.approx(expected, abs=0.0051)
            else:
                assert (value, text) == (None, "")
        assert shown["MIG", "SAP"] == shown["gamma", "MIG"] == shown["SAP", "gamma"] == ""
        assert section.locator(".quiet").inner_text().startswith("Spearman's rank correlation over 24 of 24 completed")


def test_correlations_follow_the_filter_and_say_how_many_runs(
    browser: "api.Browser", uneven: Path, tmp_path: Path
) -> None:
    with watched(browser, uneven / "report.html") as page:
        section = correlated(page)
        assert cells(section)["beta", "ELBO"] != ""
        section.get_by_role("searchbox", name="Filter").fill("beta = 2")
        shown = cells(section)
        assert {shown["beta", name] for name in CORRELATED} == {""}
        assert shown["ELBO", "KL"] != ""
        assert section.locator(".quiet").inner_text().startswith("Spearman's rank correlation over 8 of 24 completed")
        section.get_by_role("searchbox", name="Filter").fill("")
        tip = section.locator("[aria-label=tip]")
        # The second of the cells by row and column, after the frames.
        section.locator("svg.plot [aria-label=cell] >> nth=1").locator("rect").nth(1).hover()
        api.expect(tip).to_contain_text("24 runs")
        api.expect(section.get_by_text("Spearman's rank correlation", exact=True)).to_be_visible()
        with page.expect_download() as download:
            section.get_by_role("button", name="Save SVG").click()
        download.value.save_as(tmp_path / "plot.svg")
        assert (tmp_path / "plot.svg").read_text().count("<rect") > len(CORRELATED) ** 2
        section.get_by_role("searchbox", name="Filter").fill("ELBO > 1000")
        assert section.locator("svg.plot").count() == 0

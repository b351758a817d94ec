"""Which figures a set of runs allows, and the page."""

import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from reporting import config, figure_names, grid, leave, metrics, rows

from hfvae_runner.report import main, plots


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of a report's time."""
    monkeypatch.setattr(plots, "plots", lambda settings: iter(()))


# Figures


def test_each_number_that_varies_has_a_figure(tmp_path: Path) -> None:
    grid(tmp_path, beta=[1, 4], lr=[0.1, 0.2], objective=["hfvae", "vae"])
    main([str(tmp_path)])
    assert figure_names(tmp_path) == {"against_beta", "against_lr", "information_and_correlation"}
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3


def test_numbers_that_move_together_share_a_figure(tmp_path: Path) -> None:
    for value in (1, 4):
        leave(tmp_path / str(value), config(beta=value, gamma=value), metrics())
    assert main([str(tmp_path)]) == 0
    assert figure_names(tmp_path) == {"against_beta", "information_and_correlation"}
    assert "against beta, and gamma with it" in (tmp_path / "report.html").read_text()


def test_no_line_joins_different_objectives(tmp_path: Path) -> None:
    leave(tmp_path / "a", config(objective="hfvae", beta=12), metrics())
    leave(tmp_path / "b", config(objective="vae", beta=1), metrics())
    main([str(tmp_path)])
    assert figure_names(tmp_path) == {"information_and_correlation"}


def test_one_run_has_no_figure_and_old_ones_go(tmp_path: Path) -> None:
    grid(tmp_path, beta=[1, 4])
    main([str(tmp_path)])
    (tmp_path / "figures" / "mine.png").touch()
    (tmp_path / "beta=4" / "metrics.json").unlink()
    main([str(tmp_path)])
    assert figure_names(tmp_path) == {"mine"}


# The page


class Page(HTMLParser):
    """Collects a page's addresses, and checks that its tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.lazy = 0
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [address for key in ("src", "href") if (address := given.get(key))]
        self.lazy += given.get("loading") == "lazy"
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.usefixtures("no_figures")
def test_the_page_links_to_the_runs_own_figures_and_to_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    leave(home / "a b#é&'", config(), metrics(), figures=["x", "kl_history"])
    leave(tmp_path / "other", config(beta=1), metrics(), figures=["x"])
    assert main([str(home), str(tmp_path / "other")]) == 0
    page = Page((home / "report.html").read_text(encoding="utf-8"))
    linked = [address for address in page.addresses if not address.startswith("data:image/png;base64,")]
    assert linked[0] == "results.csv"
    assert all((home / unquote(address)).is_file() for address in linked)
    assert not any(":" in address or address.startswith("/") for address in linked)
    assert page.lazy == 3
    assert len(linked) == 7  # each figure as a link and as an image, and the table


@pytest.mark.usefixtures("no_figures")
def test_text_from_the_runs_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('&\"')</script>"
    leave(tmp_path / "a<b", config(objective=evil), metrics())
    leave(tmp_path / "c", config(dataset=evil), status={"status": "failed", "reason": evil})
    main([str(tmp_path)])
    text = (tmp_path / "report.html").read_text()
    Page(text)
    assert "<script" not in text
    assert "a&lt;b" in text
    assert text.count("&lt;script&gt;alert(&#x27;&amp;&quot;&#x27;)&lt;/script&gt;") >= 4


def test_a_folder_name_that_is_no_text_is_shown_and_linked(tmp_path: Path) -> None:
    leave(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")), config(), metrics(), figures=["x"])
    assert main([str(tmp_path)]) == 0
    assert rows(tmp_path)[0]["folder"] == "\\udcff"
    assert 'href="%FF/figures/x.png"' in (tmp_path / "report.html").read_text()

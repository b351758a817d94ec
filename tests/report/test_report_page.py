"""The page: what it holds, and that it needs and asks for nothing else."""

import base64
import hashlib
import io
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image
from reporting import config, leave, metrics, rows

from hfvae_runner.report import main, plots
from hfvae_runner.report import page as page_module


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of a report's time."""
    monkeypatch.setattr(plots, "plots", lambda settings: iter(()))


class Page(HTMLParser):
    """A page's links, images and tables, checked for tags that are closed in order."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.policy = ""
        self.is_data = False
        self.data: dict[str, Any] = {}
        self.inside: dict[str, str] = {"style": "", "script": ""}
        self.text = (home / "report.html").read_text(encoding="utf-8")
        self.feed(self.text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.is_data = tag == "script" and given.get("type") == "application/json"
        assert "style" not in given
        assert not any(key.startswith("on") for key in given)
        if "href" in given and tag == "a":
            self.links.append(given["href"])
        if tag == "img":
            self.images.append(given["src"])
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in ("meta", "img", "link"):
            self.open.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.inside and not self.is_data:
            self.inside[self.open[-1]] += data
        if self.open and self.open[-1] == "script" and self.is_data:
            self.data = json.loads(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data + " "

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_links_lead_to_the_runs_and_images_are_inside(tmp_path: Path) -> None:
    home = tmp_path / "home"
    leave(home / "a b#é&'", config(), metrics(), figures=["x", "traversals"])
    leave(tmp_path / "other", config(beta=1), metrics(), figures=["x"])
    assert main([str(home), str(tmp_path / "other")]) == 0
    page = Page(home)
    assert page.links[:2] == ["results.csv", "settings.csv"]
    assert not any(":" in link or link.startswith("/") for link in page.links)
    assert all((home / unquote(link)).exists() for link in page.links)
    folders = [unquote(link) for link in page.links if link.endswith("/")]
    assert sorted(folders) == ["../other/", "../other/", "a b#é&'/", "a b#é&'/"]
    assert {Path(unquote(link)).name for link in page.links if link.endswith(".png")} == {"x.png", "traversals.png"}
    assert len(page.images) == 2
    for source in page.images:
        start, _, content = source.partition(",")
        assert start == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).size == (300, 200)


def test_nothing_but_its_own_script_and_style_may_run(tmp_path: Path) -> None:
    leave(tmp_path / "a", config(), metrics())
    main([str(tmp_path)])
    page = Page(tmp_path)
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for kind, content in page.inside.items():
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    own = page.inside["script"].partition("\n// What the page's parts share")[2]
    assert own and not any(word in own for word in ("fetch(", "innerHTML", "eval(", "Function("))
    assert "url(" not in page.inside["style"]


def test_there_is_a_row_per_run_whatever_became_of_it(tmp_path: Path) -> None:
    leave(tmp_path / "a", config(beta=1, seed=3), metrics(elbo=-1234.56))
    leave(tmp_path / "b", config(seed=4), metrics(elbo=-1.0, kl=None))
    leave(tmp_path / "c", config(seed=5), status={"status": "diverged", "reason": "kl is not finite"})
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "status.json").write_text('{"status": "failed", "reason": "no data", "exit_code": 2}')
    main([str(tmp_path)])
    page = Page(tmp_path)
    settings, runs = ([[cell.strip() for cell in row] for row in table] for table in page.tables)
    assert runs[0][:6] == ["run", "status", "beta", "seed", "ELBO", "reconstruction"]
    assert [row[:5] for row in runs[1:]] == [
        ["a", "completed", "1", "3", "-1234.6"],
        ["b", "completed", "12", "4", "-1.0"],
        ["c", "diverged kl is not finite", "12", "5", "-"],
        ["d", "failed no data", "-", "-", "-"],
    ]
    assert [row[:3] for row in settings] == [
        ["beta", "seeds", "ELBO"],
        ["1", "1", "-1234.6"],
        ["12", "1 of 2", "-1.000"],
    ]
    assert "2 completed, 1 diverged, 1 failed." in page.text
    # What the script sorts by.
    assert page.text.count('data-number="-1234.56"') == 2
    assert "<td data-missing>-</td>" in page.text


def test_text_from_the_runs_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('&\"')</script>"
    leave(tmp_path / "a<b", config(objective=evil), metrics(), figures=["<i>"])
    leave(tmp_path / "c", config(dataset=evil), status={"status": "failed", "reason": evil})
    (tmp_path / "a<b" / "figures" / "<u>.png").write_bytes(b"<u>")
    main([str(tmp_path)])
    page = Page(tmp_path)
    assert page.text.count("<script") == 2  # the data and the program
    assert "a&lt;b" in page.text
    assert page.text.count("&lt;script&gt;alert(&#39;&amp;&#34;&#39;)&lt;/script&gt;") >= 4
    assert "<u>" not in page.text
    assert "<i>" not in page.text


def test_a_folder_name_that_is_no_text_is_shown_and_linked(tmp_path: Path) -> None:
    leave(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")), config(), metrics(), figures=["x"])
    assert main([str(tmp_path)]) == 0
    assert rows(tmp_path)[0]["folder"] == "\\udcff"
    page = Page(tmp_path)
    assert {"%FF/", "%FF/figures/x.png"} <= set(page.links)


def test_traversals_are_the_thumbnail_and_it_is_small(tmp_path: Path) -> None:
    run = leave(tmp_path / "a", config(), metrics(), figures=["kl_history"])
    Image.effect_noise((1600, 1200), 80).convert("RGB").save(run / "figures" / "traversals.png")
    main([str(tmp_path)])
    (source,) = Page(tmp_path).images
    assert Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).size == (480, 360)
    # A hundred of the worst that there can be are 10 MB.
    assert len(source) < 100_000


def test_of_many_runs_the_best_of_each_setting_have_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfvae_runner.report.cards.MOST_CARDS", 3)
    for beta, gap in {1: 0.2, 4: 0.4, 16: 0.3}.items():
        for seed in range(2):
            leave(tmp_path / f"{beta},{seed}", config(seed=seed, beta=beta), metrics(mig=gap + seed), figures=["x"])
    leave(tmp_path / "failed", config(beta=2), status={"status": "failed", "reason": "x"}, figures=["x"])
    main([str(tmp_path)])
    page = Page(tmp_path)
    assert re.findall(r'<h3><a href="([^"]*)"', page.text) == ["4%2C0/", "16%2C0/", "1%2C0/"]
    assert "3 of 7 runs: one of each setting by descending mean of MIG" in " ".join(page.text.split())
    assert len(page.images) == 3


def test_of_many_runs_the_best_have_rows_and_some_that_did_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfvae_runner.report.page._MOST_ROWS", 4)
    for seed in range(5):
        leave(tmp_path / f"run{seed}", config(seed=0, beta=seed), metrics(elbo=-seed))
    for seed in range(3):
        leave(tmp_path / f"bad{seed}", config(seed=seed), status={"status": "failed", "reason": "x"})
    main([str(tmp_path)])
    page = Page(tmp_path)
    settings, runs = page.tables
    assert [row[0].strip() for row in settings[1:]] == ["0", "1", "2", "3"]
    assert [row[0].strip() for row in runs[1:]] == ["bad0", "bad1", "run0", "run1"]
    assert "Of 6 settings the 4 best by mean ELBO; all of them are in settings.csv." in page.text
    assert (
        "Of 8 runs the 2 best by mean ELBO, and 2 that did not complete; all of them are in results.csv." in page.text
    )
    assert len(rows(tmp_path)) == 8


def test_a_name_that_its_settings_make_is_a_link_by_its_hash(tmp_path: Path) -> None:
    name = "batch_size-128_beta-1_objective-beta_tcvae_seed-0-a5b9f5c3"
    for each in (name, "mine"):
        leave(tmp_path / each, config(beta=len(each)), metrics(), figures=["x"])
    main([str(tmp_path)])
    page = Page(tmp_path)
    assert [row[0].strip() for row in page.tables[-1][1:]] == ["…a5b9f5c3", "mine"]
    assert page.text.count(f'<a href="{name}/" title="{name}">…a5b9f5c3</a>') == 2


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    run = leave(tmp_path / "a", config(), metrics(), figures=["x"])
    (run / "figures" / "traversals.png").write_bytes(b"GIF89a")
    assert main([str(tmp_path)]) == 0
    page = Page(tmp_path)
    assert "traversals.png cannot be read: it is no PNG" in page.text
    assert not page.images
    assert "a/figures/x.png" in page.links


def test_a_run_with_an_explorer_links_to_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        leave(tmp_path / name, config(), metrics(), figures=["x"])
    (tmp_path / "b" / "explore.html").write_text("")
    assert main([str(tmp_path)]) == 0
    page = Page(tmp_path)
    assert [link for link in page.links if link.endswith("explore.html")] == ["b/explore.html"]


def test_the_best_and_the_second_best_means_are_marked(tmp_path: Path) -> None:
    """ELBO: larger is better; total correlation: smaller; KL has no direction."""
    for beta, elbo in ((1, -30.0), (2, -10.0), (3, -20.0)):
        for seed in (0, 1):
            values = metrics(elbo=elbo - seed, total_correlation=float(beta), kl=float(beta))
            leave(tmp_path / f"{beta}-{seed}", config(beta=beta, seed=seed), values)
    assert main([str(tmp_path)]) == 0
    text = (tmp_path / "report.html").read_text()
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    marked = [re.findall(r'<td class="(first|second)"', row) for row in body.split("<tr>")[1:]]
    assert marked == [["first"], ["first", "second"], ["second"]]


def test_the_libraries_in_the_page_are_those_that_their_table_names() -> None:
    vendor = Path(page_module.__file__).parent / "vendor"
    sums = dict(
        re.findall(r"^\| `([\w.]+\.js)` .*`([0-9a-f]{64})` \|$", (vendor / "README.md").read_text(), re.MULTILINE)
    )
    assert sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in vendor.glob("*.js")}


def test_the_data_of_the_plots_are_those_of_the_runs(tmp_path: Path) -> None:
    for beta, seed in ((1, 0), (1, 1), (1, 2), (4, 0)):
        leave(tmp_path / f"b{beta}s{seed}", config(beta=beta, seed=seed), metrics(elbo=-100.0 - beta - seed))
    leave(tmp_path / "x", config(beta=4, seed=1), status={"status": "failed", "reason": "no"})
    main([str(tmp_path)])
    data = Page(tmp_path).data
    titles = [column["title"] for column in data["columns"]]
    by_title = dict(zip(titles, data["values"], strict=True))
    assert by_title["beta"] == [1, 1, 1, 4] and by_title["seed"] == [0, 1, 2, 0]
    assert by_title["ELBO"] == [-101, -102, -103, -104]
    assert data["runs"] == ["b1s0", "b1s1", "b1s2", "b4s0"] and data["setting"] == [0, 0, 0, 1]
    mean, low, high = data["means"]["ELBO"][0]
    assert mean == -102 and -103 <= low < mean < high <= -101
    assert data["means"]["ELBO"][1] == [-104, None, None]
    assert next(column for column in data["columns"] if column["title"] == "ELBO")["unit"] == "nats"


def test_a_malformed_history_is_named_and_the_others_are_drawn(tmp_path: Path) -> None:
    for name, text in {
        "a": "step,elbo\n" + "".join(f"{step},{-1 / step}\n" for step in range(1, 1001)),
        "b": "step,elbo\n1,2,3\n",
        "c": "step,elbo\nx,1\n",
        "d": "step,elbo\n1,nan\n2,-3\n3,-2",  # killed within a line
        "e": "elbo\n1\n",
        "f": "step\n",
    }.items():
        leave(tmp_path / name, config(), metrics())
        (tmp_path / name / "history.csv").write_text(text)
    main([str(tmp_path)])
    data = Page(tmp_path).data
    assert [line.partition(":")[0] for line in data["broken"]] == ["b", "c", "e"]
    curves = {each["run"]: each for each in data["curves"]}
    assert set(curves) == {"a", "d"}
    assert len(curves["a"]["step"]) == 100 and curves["a"]["step"][0] == 1 and curves["a"]["step"][-1] == 1000
    assert curves["a"]["values"]["elbo"][-1] == -0.001
    assert curves["d"] == {"run": "d", "step": [1, 2], "values": {"elbo": [None, -3]}}

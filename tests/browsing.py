"""Pages in a real browser, watched for errors and for requests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def watched(browser: Any, path: Path) -> Iterator[Any]:
    """A page that must log nothing, raise nothing, and request nothing but itself."""
    page = browser.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
    page.close()


def near(page: Any, name: str) -> Any:
    """A section of the report, which draws when it is near what the window shows."""
    section = page.locator(name)
    section.scroll_into_view_if_needed()
    section.locator("svg.plot").first.wait_for(state="attached")
    return section

"""CITATION.cff is of the version that is installed."""

from pathlib import Path

import yaml

import hfvae_runner

ROOT = Path(__file__).parents[2]


def test_the_citation_has_this_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == hfvae_runner.__version__
    assert citation["license"] in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()

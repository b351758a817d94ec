"""Builds and reads study.json, which holds all that a study's page and the table over all studies show."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hfvae_runner.errors import DataError
from hfvae_runner.report.runs import COMPLETED, Run
from hfvae_runner.reproduce.comparison import claim_of, row_of, share_of, transfer_of, trend_of
from hfvae_runner.reproduce.runs import Found, jobs

STUDY, FIGURE, PAGE = "study.json", "figure.png", "README.md"
SCHEMA = 1
_MOST_BYTES = 1 << 24
_KEYS = ("name", "title", "paper", "shows", "size", "differs", "commits", "machine", "command", "hours", "runs")
_LISTS = ("rows", "claims", "trends", "transfers", "shares")


def results(name: str, found: Found, machine: str, command: str) -> dict[str, object]:
    """Return the content of study.json.

    Args:
        name: of the study.
        found: its runs.
        machine: on which the table was made, in words.
        command: that runs the study, as typed.
    """
    study, size = found.study, found.size
    every = [run for runs in found.runs.values() for run in runs]
    return {
        "schema": SCHEMA,
        "name": name,
        "title": study.title,
        "paper": study.paper,
        "shows": " ".join(study.shows.split()),
        "size": size,
        "differs": study.differs.get(size),
        "findings": study.findings.get(size),
        "caption": " ".join(study.figure.caption.split()),
        "commits": found.commits(),
        "machine": machine,
        "command": command,
        "hours": sum(_hours(run) for run in every),
        "runs": {
            "completed": sum(run.status == COMPLETED for run in every),
            "started": len(every),
            "asked": jobs(study, size),
        },
        "not_completed": [f"{run.name}: {run.status}. {run.reason}" for run in every if run.status != COMPLETED],
        "rows": [row_of(row, found) for row in study.rows],
        "claims": [claim_of(claim, found) for claim in study.claims],
        "trends": [trend_of(trend, found) for trend in study.trends],
        "transfers": [transfer_of(transfer, found) for transfer in study.transfers],
        "shares": [share_of(share, found) for share in study.shares],
    }


def load(path: Path) -> dict[str, Any]:
    """Read a study.json.

    Raises:
        DataError: it is missing, or is not one.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} has {path.stat().st_size} bytes; expected at most {_MOST_BYTES}")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise DataError(f"{path} is not a study's results; expected a mapping with schema {SCHEMA}")
    missing = [key for key in _KEYS if key not in content]
    if missing or not all(_is_list_of_mappings(content.get(key)) for key in _LISTS):
        raise DataError(f"{path} is not a study's results; expected {', '.join(missing or _LISTS)}")
    return content


def _is_list_of_mappings(value: object) -> bool:
    return isinstance(value, Sequence) and all(isinstance(each, Mapping) for each in value)


def _hours(run: Run) -> float:
    seconds = run.section("run").get("wall_seconds")
    return seconds / 3600 if isinstance(seconds, int | float) else 0.0

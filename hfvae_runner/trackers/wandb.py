"""Runs of Weights & Biases, on its server or in files that ``wandb sync`` uploads later."""

import json
import logging
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Self

from hfvae_runner.config.validation import checked
from hfvae_runner.errors import ConfigError
from hfvae_runner.storage.files import write_atomic
from hfvae_runner.trackers._tracker import About, Row, Status, Tracker, Tracking, check_text, require

logger = logging.getLogger(__name__)

Mode = Literal["offline", "online"]
_IDENTIFIER = re.compile(r"[\w-]{1,64}", re.ASCII)
_SECONDS_TO_FINISH = 20  # later data stay in the run folder, for `wandb sync`


class WandB(Tracking):
    """The options of Weights & Biases.

    Args:
        project: the project's name.
        entity: the user or team that owns the project; None takes the user's own default.
        mode: ``offline`` writes files to ``trackers/wandb`` of the run folder without contacting a server; ``online``
            uploads, with the key that ``wandb login`` has stored.
        tags: the run's tags.
    """

    def __init__(self, *, project: str, entity: str | None, mode: Mode, tags: Sequence[str]) -> None:
        check_text("trackers.wandb.project", project)
        if entity is not None:
            check_text("trackers.wandb.entity", entity)
        checked(Mode, mode, "trackers.wandb.mode")
        if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) and tag for tag in tags):
            raise ConfigError(f"trackers.wandb.tags={json.dumps(tags)}: expected a list of texts such as [digits]")
        require("wandb", "wandb")
        self._project, self._entity, self._mode, self._tags = project, entity, mode, tuple(tags)

    def open(self, about: About) -> Tracker:
        return _Run(about, self._project, self._entity, self._mode, self._tags)


class _Run(Tracker):
    """One run: rows as history by their step, results as summary, figures as images, the config as config.

    W&B can neither replace nor remove a row, and adds the rows of offline files to those on the server. So a run
    resumed offline removes its earlier files and writes all of its rows again; if the files were uploaded, it writes
    only the rows after them. A run resumed online continues the same W&B run and sends the rows that the server lacks.
    """

    def __init__(self, about: About, project: str, entity: str | None, mode: Mode, tags: tuple[str, ...]) -> None:
        if mode == "offline":
            # Read when W&B starts its process, which otherwise contacts a server for usage reports.
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        place = about.own("wandb")
        place.mkdir(parents=True, exist_ok=True)
        self._note = _Note.read(about.own("wandb.json"))
        self._note.forget(_remove_offline(place, self._note.identifier))
        self._run = wandb.init(
            dir=str(place.parent),
            id=self._note.identifier,
            name=about.name,
            project=project,
            entity=entity,
            mode=mode,
            tags=tags,
            config={key: value for key, value in about.config.items() if key != "trackers"},
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(
                console="off", silent=True, symlink=False, save_code=False, finish_timeout=_SECONDS_TO_FINISH
            ),
        )
        self._image = wandb.Image
        if mode == "offline":
            self._first = self._note.uploaded() + 1
            logger.info("trackers.wandb: wandb sync %s uploads what is written", shlex.quote(str(place)))
        else:
            self._first = self._run.starting_step
            logger.info("trackers.wandb: %s", self._run.url)
        self._last = self._first - 1
        self._part = Path(self._run.dir).parent.name
        self._note.write(self._part, None)
        for step, values in about.past():
            self.row(step, values)

    def row(self, step: int, values: Row) -> None:
        # A step may occur twice, as a row of history.csv and of evaluations.jsonl; W&B merges the two.
        if step >= self._first:
            self._run.log(dict(values), step=step)
            self._last = step

    def results(self, step: int, values: Row, figures: Sequence[Path]) -> None:
        if figures:
            self._run.log({f"figures/{path.stem}": self._image(str(path)) for path in figures})
        self._run.summary.update(dict(values))

    def close(self, status: Status) -> None:
        self._run.finish(exit_code=0 if status == "completed" else 1)
        self._note.write(self._part, self._last)


class _Note:
    """A file in the run folder with the run's identifier and each part's last step; None for a part that was killed.

    The identifier is random, since the same job of two sweeps has the same folder name.
    """

    def __init__(self, path: Path, identifier: str, parts: dict[str, int | None]) -> None:
        self.identifier = identifier
        self._path = path
        self._parts = parts

    @classmethod
    def read(cls, path: Path) -> Self:
        if not path.exists():
            return cls(path, secrets.token_hex(8), {})
        content = json.loads(path.read_bytes())
        identifier = content["id"]
        # Checked, since it becomes part of a pattern for folders to remove.
        if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
            raise ConfigError(f"{path}: id={identifier!r}; expected letters, digits, - and _")
        return cls(path, identifier, content["parts"])

    def write(self, part: str, last: int | None) -> None:
        self._parts[part] = last
        write_atomic(self._path, json.dumps({"id": self.identifier, "parts": self._parts}) + "\n")

    def forget(self, parts: Iterable[str]) -> None:
        for part in parts:
            self._parts.pop(part, None)

    def uploaded(self) -> int:
        """Return the last uploaded step; -1 if there is none."""
        killed = [part for part, last in self._parts.items() if last is None]
        if killed:
            logger.warning(
                "trackers.wandb: %s was uploaded, but how far is not known: remove run %s from the server before the "
                "next wandb sync, or some rows are there twice",
                ", ".join(killed),
                self.identifier,
            )
        return max((last for last in self._parts.values() if last is not None), default=-1)


def _remove_offline(place: Path, identifier: str) -> list[str]:
    """Remove the parts that were never uploaded, and return their names."""
    waiting = [part for part in place.glob(f"offline-run-*-{identifier}") if not any(part.glob("*.wandb.synced"))]
    for part in waiting:
        shutil.rmtree(part)
    return [part.name for part in waiting]

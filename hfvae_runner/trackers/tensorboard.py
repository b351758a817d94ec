"""Event files for TensorBoard, written by torch's own writer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hfvae_runner.trackers._tracker import About, Row, Status, Tracker, Tracking, require


class TensorBoard(Tracking):
    """The choice of TensorBoard, with event files in ``trackers/tensorboard`` of the run folder."""

    def __init__(self) -> None:
        require("tensorboard", "tensorboard")

    def open(self, about: About) -> Tracker:
        return _Events(about)


class _Events(Tracker):
    """One run: rows and results as scalars, figures as images, the config as text and, at the end, as hyperparameters.

    A resumed run writes a new file, which marks the rows after its first step in earlier files as obsolete. A reader
    that ignores this mark sees the rows between the checkpoint and the kill twice.
    """

    def __init__(self, about: About) -> None:
        # torch takes seconds to import.
        from torch.utils.tensorboard import SummaryWriter

        folder = about.own("tensorboard")
        goes_on = any(folder.glob("events.out.tfevents.*"))
        self._hyperparameters = about.hyperparameters()
        self._writer = SummaryWriter(str(folder), purge_step=about.step + 1 if goes_on else None)
        shown = yaml.safe_dump(dict(about.config), sort_keys=False, allow_unicode=True)
        self._writer.add_text("config", "\n".join(f"    {line}" for line in shown.splitlines()), about.step)
        if not goes_on:
            for step, values in about.past():
                self._add(step, values)
        self._writer.flush()

    def row(self, step: int, values: Row) -> None:
        self._add(step, values)
        # Flush, since a resumed run does not write the rows before its checkpoint again.
        self._writer.flush()

    def results(self, step: int, values: Row, figures: Sequence[Path]) -> None:
        import numpy as np
        from PIL import Image
        from torch.utils.tensorboard.summary import hparams

        self._add(step, values)
        for path in figures:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            self._writer.add_image(f"figures/{path.stem}", pixels, step, dataformats="HWC")
        columns = {name: value for name, value in values.items() if name.startswith("test/") and name.count("/") == 1}
        file: Any = self._writer.file_writer  # torch declares it as None
        for summary in hparams(self._hyperparameters, columns):
            file.add_summary(summary)
        self._writer.flush()

    def close(self, status: Status) -> None:
        self._writer.close()

    def _add(self, step: int, values: Row) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

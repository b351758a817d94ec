"""Event files, read back as TensorBoard does."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from states import random_states
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from hfvae_runner.storage.history import History
from hfvae_runner.trackers import Trackers
from hfvae_runner.trackers.tensorboard import TensorBoard

CONFIG = {"seed": 7, "steps": None, "train": {"betas": [0.9, 0.999]}}


def track(folder: Path, start: int, stop: int, *, end: bool) -> None:
    """Rows after ``start``, as the loop writes them, each also into history.csv; the results at the end."""
    history = History(folder / "history.csv")
    history.truncate(start)
    trackers = Trackers.open({"tensorboard": TensorBoard()}, folder, CONFIG, start)
    for step in range(start + 1, stop + 1):
        row = {"step": step, "loss": float(step + start), "kl/style[0]": step / 2}
        history.append(row)
        trackers.row(step, row)
    history.close()
    if end:
        trackers.results(stop, {"test": {"elbo": -1.5, "kl_per_factor": {"style[0]": 0.5}}})
        trackers.close("completed")


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "trackers" / "tensorboard"), size_guidance={"images": 0}).Reload()


def scalars(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_a_run_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    Image.fromarray(np.full((4, 6, 3), (255, 0, 128), np.uint8)).save(tmp_path / "figures" / "traversals.png")
    before = random_states()
    track(tmp_path, 0, 3, end=True)
    assert random_states() == before

    events = read(tmp_path)
    assert scalars(events, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert scalars(events, "kl/style[0]") == [(1, 0.5), (2, 1.0), (3, 1.5)]
    assert scalars(events, "test/elbo") == [(3, -1.5)]
    assert scalars(events, "test/kl_per_factor/style[0]") == [(3, 0.5)]
    (image,) = events.Images("figures/traversals")
    assert (image.step, image.width, image.height) == (3, 6, 4)
    assert b"seed: 7" in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0]

    plugin = events.PluginTagToContent(metadata.PLUGIN_NAME)
    given = metadata.parse_session_start_info_plugin_data(plugin[metadata.SESSION_START_INFO_TAG]).hparams
    assert (given["seed"].number_value, given["steps"].string_value) == (7, "null")
    assert given["train.betas"].string_value == "[0.9, 0.999]"
    columns = metadata.parse_experiment_plugin_data(plugin[metadata.EXPERIMENT_TAG]).metric_infos
    assert [column.name.tag for column in columns] == ["test/elbo"]


def test_a_killed_run_that_goes_on_has_each_row_once(tmp_path: Path) -> None:
    track(tmp_path, 0, 5, end=False)
    # Every row is on its way to the disk when the next step begins.
    assert [step for step, _ in scalars(read(tmp_path), "loss")] == [1, 2, 3, 4, 5]
    # The earlier file sorts first, as it does where the start lies a second or more back.
    (earlier,) = (tmp_path / "trackers" / "tensorboard").iterdir()
    earlier.rename(earlier.with_name("events.out.tfevents.1000000000.host.1.0"))
    track(tmp_path, 3, 6, end=True)
    assert scalars(read(tmp_path), "loss") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 7.0), (5, 8.0), (6, 9.0)]


def test_a_run_that_was_not_tracked_before_brings_its_past(tmp_path: Path) -> None:
    history = History(tmp_path / "history.csv")
    history.append({"step": 1, "loss": 1.0})
    history.append({"step": 2, "loss": 2.0})
    history.close()
    with Trackers.open({"tensorboard": TensorBoard()}, tmp_path, CONFIG, 2) as trackers:
        trackers.row(3, {"loss": 3.0})
    assert scalars(read(tmp_path), "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_figure_that_cannot_be_read_ends_the_tracker_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "broken.png").write_bytes(b"no image")
    with Trackers.open({"tensorboard": TensorBoard()}, tmp_path, CONFIG, 0) as trackers:
        trackers.row(1, {"loss": 1.0})
        trackers.results(1, {"test": {"elbo": -1.5}})
    assert "trackers.tensorboard: cannot identify image file" in caplog.text
    assert scalars(read(tmp_path), "test/elbo") == [(1, -1.5)]

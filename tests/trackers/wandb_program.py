"""Tracks a run offline in a process of its own, as W&B's is started once per process, and prints what its files hold.

python wandb_program.py FOLDER START STOP completed|killed
"""

import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from states import random_states
from wandb.proto.wandb_internal_pb2 import Record

from hfvae_runner.storage.history import History
from hfvae_runner.trackers import Trackers
from hfvae_runner.trackers.wandb import WandB

CONFIG = {"seed": 7, "steps": None, "train": {"betas": [0.9, 0.999]}, "trackers": {}}
_BLOCK = 32768


def main(folder: Path, start: int, stop: int, ending: str) -> None:
    before = random_states()
    chosen = {"wandb": WandB(project="digits", entity=None, mode="offline", tags=["a", "b"])}
    history = History(folder / "history.csv")
    history.truncate(start)
    trackers = Trackers.open(chosen, folder, CONFIG, start)
    for step in range(start + 1, stop + 1):
        row = {"step": step, "loss": float(step + start), "kl/style[0]": step / 2}
        history.append(row)
        trackers.row(step, row)
    history.close()
    if ending == "killed":
        os.kill(os.getpid(), 9)
    trackers.results(stop, {"test": {"elbo": -1.5, "mig": None, "kl_per_factor": {"style[0]": 0.5}}})
    trackers.close("completed")
    print(json.dumps({"same_random_states": random_states() == before, "files": [*map(held, files(folder))]}))


def files(folder: Path) -> list[Path]:
    return sorted((folder / "trackers" / "wandb").glob("offline-run-*/*.wandb"))


def held(path: Path) -> dict[str, object]:
    """What ``wandb sync`` would upload from a file."""
    content: dict[str, object] = {"path": str(path), "rows": [], "summary": {}}
    for data in messages(path.read_bytes()):
        record = Record.FromString(data)
        if record.HasField("run"):
            run = record.run
            config = {item.key: json.loads(item.value_json) for item in run.config.update}
            content |= {"name": run.display_name, "project": run.project, "tags": list(run.tags), "config": config}
            content["id"] = run.run_id
        elif record.HasField("history"):
            values = {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item
            }
            content["rows"].append({name: value for name, value in values.items() if name[0] != "_" or name == "_step"})
        elif record.HasField("summary"):
            items = {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.summary.update
            }
            content["summary"] |= items
        elif record.HasField("exit"):
            content["exit_code"] = record.exit.exit_code
    return content


def messages(data: bytes) -> Iterator[bytes]:
    """The records of a log in blocks, as LevelDB writes them: checksum, length, kind (whole, first, middle, last)."""
    place, parts = 7, b""
    while place < len(data):
        if _BLOCK - place % _BLOCK < 7:
            place += _BLOCK - place % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])

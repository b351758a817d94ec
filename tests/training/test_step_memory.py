"""How much memory a step needs and how much there is."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hfvae_runner.training.memory import free_bytes, step_bytes

CPU = torch.device("cpu")
MEMINFO = "MemTotal:       1000 kB\nMemAvailable:    800 kB\n"


@pytest.mark.parametrize(("amsgrad", "copies"), [(False, 4), (True, 5)])
def test_a_step_needs_copies_of_parameters_and_twice_what_the_loss_keeps(amsgrad: bool, copies: int) -> None:
    linear = nn.Linear(10, 20, bias=False)

    def loss_of(x: Tensor) -> tuple[Tensor, None]:
        hidden = linear(x)  # keeps x and the weight
        return hidden.exp().sum(), None  # keeps the exponential

    expected = copies * 4 * 200 + 2 * 4 * (30 + 60)
    assert step_bytes(linear.parameters(), loss_of, [torch.ones(3, 10)], amsgrad=amsgrad) == expected


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_this_machine_has_some() -> None:
    assert 2**20 < free_bytes(CPU) < 2**50


VERSION_2 = {
    "proc/self/cgroup": "0::/job/step\n",
    "sys/fs/cgroup/job/memory.max": "700000\n",
    "sys/fs/cgroup/job/memory.current": "500000\n",
    "sys/fs/cgroup/job/memory.stat": "anon 1\ninactive_file 100000\n",
    "sys/fs/cgroup/job/step/memory.max": "max\n",
    "sys/fs/cgroup/job/step/memory.current": "400000\n",
}
VERSION_1 = {
    "proc/self/cgroup": "9:cpu,cpuacct:/x\n4:memory:/known/outside\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "600000\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "550000\n",
}


@pytest.mark.parametrize(
    ("files", "free"),
    [({}, 800 * 1024), (VERSION_2, 300_000), (VERSION_1, 50_000), ({"proc/self/cgroup": "0::/\n"}, 800 * 1024)],
)
def test_the_least_of_system_and_control_groups(files: dict[str, str], free: int, tmp_path: Path) -> None:
    assert free_bytes(CPU, written(tmp_path, {"proc/meminfo": MEMINFO, **files})) == free


def test_without_proc_it_is_half_of_what_is_built_in(tmp_path: Path) -> None:
    assert 2**20 < free_bytes(CPU, tmp_path) < 2**50

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hfvae_runner
from hfvae_runner.openmp import SPIN_COUNT, limit_spinning


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": SPIN_COUNT}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    ],
)
def test_the_user_s_own_setting_wins(own: dict[str, str], expected: dict[str, str]) -> None:
    limit_spinning(own)
    assert own == expected


@pytest.mark.parametrize("module", ["hfvae_runner.launch.jobs", "hfvae_runner.evaluate", "hfvae_runner.__main__"])
def test_every_process_of_a_command_has_it_before_torch_is_loaded(module: str) -> None:
    """A launcher's processes import ``launch.jobs``, whose function they are given."""
    program = f"import os, sys, {module}; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    environment = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment["PYTHONPATH"] = str(Path(hfvae_runner.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == [SPIN_COUNT, "False"]

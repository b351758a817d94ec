"""The launcher on a Ray cluster of two local nodes, one of which dies in the middle of a job; by name."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import begun, both_beyond, finished, results, until

import hfvae_runner

ROOT = Path(hfvae_runner.__file__).parents[1]
JOBS = ("seed=0,1", "steps=2000", "checkpoints.every=200")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
STORE = 80 * 2**20

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of one node with one core."""
    for name in ("PYTHONPATH", "OMP_NUM_THREADS", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    from ray.cluster_utils import Cluster

    first = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE}
    made = Cluster(initialize_head=True, head_node_args=first)
    yield made
    made.shutdown()


@pytest.mark.filterwarnings("default")  # Ray's own, in its test utilities
def test_a_job_whose_node_dies_is_run_again_and_has_the_same_results(cluster: Any, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    with begun(here, ENVIRONMENT, JOBS) as command:
        finished(command)
    second = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    address = f"hydra.launcher.ray.init.address={cluster.address}"
    with begun(there, ENVIRONMENT, JOBS, "hydra/launcher=ray", address) as command:
        until(lambda: both_beyond(there, 500) or command.poll() is not None, "the jobs do not start on both nodes")
        cluster.remove_node(second, allow_graceful=False)
        finished(command)
    assert len(results(here)) == 2
    assert results(there) == results(here)
    starts = [path.read_text().count("on cpu: step ") for path in sorted(there.glob("*/run.log"))]
    assert sorted(starts) == [1, 2], "one of the jobs was started again"
    (again,) = (text for text in (path.read_text() for path in there.glob("*/run.log")) if text.count(": step ") > 1)
    assert not again.rpartition("on cpu: step ")[2].startswith("0 "), "it goes on from its checkpoint"

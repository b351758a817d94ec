"""From a command line to checked configs and started runs; all code that uses Hydra.

May import everything but `report`; only the commands import it.

Importing this package registers the `run_name` resolver that conf/config.yaml uses. It also limits how long OpenMP's
threads spin, in each process of a command and before torch is loaded.
"""

from hfvae_runner.launch.command import main
from hfvae_runner.launch.gate import Gate
from hfvae_runner.launch.jobs import JobFailed
from hfvae_runner.launch.naming import register, run_name
from hfvae_runner.openmp import limit_spinning

register()
limit_spinning()

__all__ = ["Gate", "JobFailed", "main", "run_name"]

"""From a command line to checked configs and started runs: all that knows Hydra.

Importing this package registers the `run_name` resolver that conf/config.yaml uses.
"""

from hfvae_runner.launch.command import main
from hfvae_runner.launch.gate import Gate
from hfvae_runner.launch.jobs import JobFailed
from hfvae_runner.launch.naming import register, run_name

register()

__all__ = ["Gate", "JobFailed", "main", "run_name"]

"""From many run folders to one table, its figures and a page: ``python -m hfvae_runner.report FOLDER …``.

May import `figures`, `storage` and `config`; needs neither torch nor Hydra.
"""

from hfvae_runner.report.command import main

__all__ = ["main"]

"""Reports over many run folders, with tables, figures and a page: ``python -m hfvae_runner.report FOLDER …``.

May import `figures`, `storage` and `config`; imports neither torch nor Hydra.
"""

from hfvae_runner.report.command import main

__all__ = ["main"]

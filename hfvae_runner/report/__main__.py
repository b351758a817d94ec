"""``python -m hfvae_runner.report``."""

import sys

from hfvae_runner.report.command import main

if __name__ == "__main__":
    sys.exit(main())

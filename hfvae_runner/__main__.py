"""``python -m hfvae_runner``, and the console script of the same name."""

import sys

from hfvae_runner.launch import main

if __name__ == "__main__":
    sys.exit(main())

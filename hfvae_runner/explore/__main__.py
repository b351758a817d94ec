import sys

from hfvae_runner.explore.command import main

if __name__ == "__main__":
    sys.exit(main())

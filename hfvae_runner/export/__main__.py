import sys

from hfvae_runner.export.command import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m nnbf.cli` is `nnbf`."""

import sys

from nnbf.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

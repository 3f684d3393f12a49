"""`python -m nnbf.cli` is `nnbf`."""

import sys

from nnbf.cli.main import main

sys.exit(main())

"""`python -m samkit`, and `torchrun -m samkit`."""

import sys

from samkit.cli.main import main

sys.exit(main())

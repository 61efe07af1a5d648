"""`python -m modelserver`: the command line."""

from __future__ import annotations

import sys

from modelserver.cli import main

sys.exit(main())

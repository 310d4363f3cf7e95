"""``python -m gdist`` is ``gdist``."""

import sys

from gdist.cli import main

sys.exit(main())

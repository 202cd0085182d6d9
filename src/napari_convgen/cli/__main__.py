"""``python -m napari_convgen.cli``."""

import sys

from napari_convgen.cli import main

sys.exit(main())

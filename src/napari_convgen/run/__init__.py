"""The verbs: each takes an array and a configuration, and returns a result.

Python, the command line and the widgets all call them, so all give the same numbers.
"""

import os

# PyTorch reads these once, when it is loaded. They let its threads sleep after some microseconds of waiting for each other. By default the
# threads spin for long, and a fit on all cores becomes many times slower as soon as a window or another program needs a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

"""The verbs: a configuration and an array become a fit and its result.

Every end of the program (Python, command line, widget) goes through here, so all give the same numbers.
"""

import os

# Threads of PyTorch that wait for each other shall sleep after some microseconds. By default they spin for long, and as soon as
# anything else wants a core (a window, another program) a fit on all cores becomes many times slower. Read once, when PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

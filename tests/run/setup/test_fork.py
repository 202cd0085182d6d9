"""In a process that was made by fork, threads are those of that process, and nothing waits for those of its parent."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys
import numpy as np
import torch
from napari_convgen import PRESETS, denoise
from napari_convgen.core.cpu.threads import SMALL_PASS, share_out
from napari_convgen.errors import ConfigError

def add_one(first, last, x):
    x[first:last] += 1

def work(n_threads="auto"):
    counts = np.zeros(64, int)
    share_out(add_one, 64, SMALL_PASS + 1, counts, n_threads=2)
    assert (counts == 1).all()
    image = np.add.outer(np.arange(24.0), np.arange(24.0) % 5)
    settings = {"backend": "torch", "device": "cpu", "generator.n_channels": 4, "n_steps": 3, "n_threads": n_threads}
    result = denoise(image, PRESETS["deep-decoder"].replace(settings))
    return result.image, result.n_threads

torch.set_num_threads(2)
a = torch.randn(600, 600)
(a @ a).exp().sum()  # PyTorch's threads start
image, n_threads = work()
assert n_threads == 2
child = os.fork()
if not child:
    signal.alarm(60)
    again, n_threads = work()
    assert n_threads == 1 and np.allclose(again, image, atol=1e-3)
    try:
        work(n_threads=2)
    except ConfigError as error:
        assert "n_threads must be 1 in a process that was made by fork, got 2. Start processes by spawn" in str(error)
        os._exit(0)
    os._exit(3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_denoises_on_one_thread():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")

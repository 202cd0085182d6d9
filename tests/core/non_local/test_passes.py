"""Where the passes over patches are computed."""

import torch

from napari_convgen.core.non_local.passes import computed_on


def test_mps_which_lacks_double_precision_computes_no_estimate():
    assert computed_on(torch.device("mps")).type == "cpu"
    assert [computed_on(torch.device(name)).type for name in ("cpu", "cuda")] == ["cpu", "cuda"]

"""The choice of the image follows what becomes of its layer."""

from napari_convgen.viewer.denoise.widget import DenoiseWidget


def test_the_description_follows_other_data_of_the_layer(make_widget, hands, noisy):
    user = hands(make_widget(DenoiseWidget))
    layers = user.widget.viewer.layers
    assert "cells · 32 × 32" in user.text
    assert user.choices("Reference") == ["none", "truth"]
    layers["cells"].data = noisy[:16, :8]
    assert "cells · 16 × 8" in user.text
    assert user.choices("Reference") == ["none"]
    layers.selection.active = layers["truth"]
    layers["cells"].data = noisy[:4]
    assert "truth · 32 × 32" in user.text

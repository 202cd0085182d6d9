import math
from types import SimpleNamespace

from napari_convgen.viewer.denoise.widget import DenoiseWidget


def test_the_time_that_is_left_is_said_once_it_can_be_told(make_widget, hands):
    widget = make_widget(DenoiseWidget)
    for share, seconds, shown in ((0.0, math.inf, "%p %"), (0.25, 90.0, "%p % · at most 1 min 30 s left")):
        widget._controls.show_progress(SimpleNamespace(share=share, seconds_left=seconds))
        assert hands(widget).progress == shown

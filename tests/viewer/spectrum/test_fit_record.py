import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_convgen.run.denoise.run import denoise
from napari_convgen.viewer.layers.door import METADATA_KEY
from napari_convgen.viewer.spectrum.fit_record import find_fits, is_fit, read_fit


def layer_of(result, name="denoised"):
    return Image(result.image, name=name, multiscale=False, metadata={METADATA_KEY: result.report()})


def test_all_is_that_of_the_run(noisy, small):
    result = denoise(noisy, small, reference=noisy // 2)
    fit = read_fit(layer_of(result))
    np.testing.assert_array_equal(fit.loss, result.frames[0].loss)
    assert (fit.name, fit.kept_step) == ("denoised", result.step)
    assert fit.config == small.replace({"backend": "numba"}).model_dump()
    assert fit.psnr == pytest.approx(result.psnr_by_step)


def test_psnr_is_that_of_the_snapshot_on_screen(noisy, small):
    fit = read_fit(layer_of(denoise(noisy, small, reference=noisy // 2)))
    first, second, *_ = steps = sorted(fit.psnr)
    assert fit.psnr_at(second) == fit.psnr[second]
    assert fit.psnr_at(second - 0.5) == fit.psnr[first]
    assert fit.psnr_at(-1) == fit.psnr[first]
    assert fit.psnr_at(10_000) == fit.psnr[steps[-1]]


def test_without_a_reference_there_is_no_psnr(noisy, small):
    assert read_fit(layer_of(denoise(noisy, small))).psnr_at(5) is None


def test_frames_of_a_stack_have_fits_of_their_own_and_those_left_out_none(noisy, small):
    stack = np.stack([noisy, np.zeros_like(noisy), noisy[::-1]])
    result = denoise(stack, small.replace({"stopping.kind": "held-out"}))
    layer = layer_of(result)
    assert [frame.number for frame in result.frames] == [0, 2]
    for frame in result.frames:
        fit = read_fit(layer, frame.number)
        np.testing.assert_array_equal(fit.loss, frame.loss)
        assert fit.kept_step == frame.step
    assert read_fit(layer, 1) is None


def test_only_results_of_a_fitting_shape_are_found(noisy, small):
    result = denoise(noisy, small)
    viewer = ViewerModel()
    viewer.add_image(noisy, name="cells")
    viewer.add_image(noisy, name="other", metadata={METADATA_KEY: {"methods": []}})
    viewer.add_labels(noisy.astype(int))
    found = viewer.add_layer(layer_of(result))
    viewer.add_image(noisy[:9], name="small", metadata={METADATA_KEY: result.report()})
    assert [layer.name for layer in viewer.layers if is_fit(layer)] == ["denoised", "small"]
    assert list(find_fits(viewer, noisy.shape)) == [found]
    assert len(list(find_fits(viewer, noisy.shape, (9, 32)))) == 2
    assert not list(find_fits(viewer))

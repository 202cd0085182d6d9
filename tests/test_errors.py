import pytest

from napari_convgen import errors


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InputError, ValueError),
        (errors.ConfigError, ValueError),
        (errors.DeviceError, RuntimeError),
        (errors.FitError, RuntimeError),
        (errors.FileError, OSError),
    ],
)
def test_each_error_is_of_the_family_and_of_its_builtin_kind(error, builtin):
    assert issubclass(error, errors.ConvgenError)
    assert issubclass(error, builtin)


def test_a_mismatch_is_worded_as_one_sentence_and_advice():
    sentence = errors.mismatch("the mask must fit", expected=(2, 3), got=(2, 4), advice="Crop it.")
    assert sentence == "the mask must fit: expected (2, 3), got (2, 4). Crop it."

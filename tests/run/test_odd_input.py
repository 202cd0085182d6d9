"""Odd arrays, files and configurations give a result or a sentence, see tests/helpers/odd.py."""

import warnings

import odd
import pytest

N_IN_A_TEST = 15


@pytest.mark.parametrize("start", range(0, 4 * N_IN_A_TEST, N_IN_A_TEST))
def test_odd_arrays_are_denoised_or_refused_before_the_fit(start):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ends = [odd.denoise_odd_array(seed) for seed in range(start, start + N_IN_A_TEST)]
    assert {"result", "refused"} == set(ends)


def test_arrays_that_once_ended_with_an_error_are_denoised_or_refused():
    for seed in (764, 1112, 1471, 1512, 2701, 2850, 5221):
        assert odd.denoise_odd_array(seed) in ("result", "refused")


@pytest.mark.parametrize("start", range(0, 12 * N_IN_A_TEST, 4 * N_IN_A_TEST))
def test_odd_files_are_read_or_refused(start, tmp_path):
    ends = [odd.read_odd_file(seed, tmp_path) for seed in range(start, start + 4 * N_IN_A_TEST)]
    assert {"result", "refused"} == set(ends)


def test_odd_configurations_are_taken_or_refused(tmp_path):
    ends = [odd.read_odd_toml(seed, tmp_path) for seed in range(200)]
    assert {"result", "refused"} == set(ends)

import json
import time

import pytest

from napari_convgen.errors import FileError
from napari_convgen.reproduction.cells import Cells

KEY = {"study": "fig1", "seed": 0}


def test_a_part_is_computed_once_and_comes_back_equal(tmp_path):
    result = {"loss": [1.5, 0.25], "net": "skip"}
    cells = Cells(tmp_path / "cells")
    assert cells(KEY, lambda: result) == result
    assert Cells(tmp_path / "cells")(dict(reversed(KEY.items())), lambda: pytest.fail("computed again")) == result


def test_another_key_is_another_part(tmp_path):
    cells = Cells(tmp_path)
    assert [cells(KEY | {"seed": seed}, lambda seed=seed: seed) for seed in (0, 1, 0)] == [0, 1, 0]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_time_of_parts_that_were_kept_is_known(tmp_path):
    first = Cells(tmp_path)
    first(KEY, lambda: time.sleep(0.02))
    again = Cells(tmp_path)
    again(KEY, lambda: None)
    assert first.seconds_saved == 0
    assert again.seconds_saved >= 0.02


def test_a_part_whose_computation_failed_is_not_kept(tmp_path):
    with pytest.raises(ZeroDivisionError):
        Cells(tmp_path)(KEY, lambda: 1 / 0)
    assert Cells(tmp_path)(KEY, lambda: 3) == 3


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"result": 1})])
def test_a_file_that_is_none_of_ours_is_named(tmp_path, text):
    Cells(tmp_path)(KEY, lambda: 1)
    [path] = tmp_path.iterdir()
    path.write_text(text)
    with pytest.raises(FileError, match=path.name):
        Cells(tmp_path)(KEY, lambda: 1)


def test_a_folder_that_cannot_be_made_is_an_error_before_the_part_is_computed(tmp_path):
    (tmp_path / "cells").write_text("")
    with pytest.raises(FileError, match="cells"):
        Cells(tmp_path / "cells")(KEY, lambda: pytest.fail("computed"))

import pytest

from napari_convgen.batch.records import hash_file, hash_values, read_record
from napari_convgen.errors import FileError


@pytest.mark.parametrize(("text", "sentence"), [("[1]", "is no record of a batch"), ("{", "cannot be read")])
def test_a_file_that_is_no_record_is_refused(tmp_path, text, sentence):
    (tmp_path / "image.json").write_text(text)
    with pytest.raises(FileError, match=rf"image\.json {sentence}"):
        read_record(tmp_path / "image.json")


def test_settings_have_one_hash_in_any_order():
    assert hash_values({"seed": 1, "steps": 2}) == hash_values({"steps": 2, "seed": 1})
    assert hash_values({"seed": 1, "steps": 2}) != hash_values({"seed": 2, "steps": 1})


@pytest.mark.parametrize("change", ["name", "content"])
def test_a_folder_has_the_hash_of_its_names_and_files(tmp_path, change):
    for folder in ("first", "second"):
        (tmp_path / folder / "0").mkdir(parents=True)
        (tmp_path / folder / "0" / "chunk").write_bytes(b"values")
    assert hash_file(tmp_path / "first") == hash_file(tmp_path / "second")
    chunk = tmp_path / "second" / "0" / "chunk"
    if change == "name":
        chunk.rename(chunk.with_name("other"))
    else:
        chunk.write_bytes(b"others")
    assert hash_file(tmp_path / "first") != hash_file(tmp_path / "second")

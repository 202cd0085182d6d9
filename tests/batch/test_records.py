import json

import pytest

from napari_convgen.batch import records
from napari_convgen.batch.records import EndedPieces, hash_file, hash_values, read_head, read_record
from napari_convgen.errors import FileError


@pytest.mark.parametrize(("text", "sentence"), [("[1]", "is no record of a batch"), ("{", "cannot be read")])
def test_a_file_that_is_no_record_is_refused(tmp_path, text, sentence):
    (tmp_path / "image.json").write_text(text)
    with pytest.raises(FileError, match=rf"image\.json {sentence}"):
        read_record(tmp_path / "image.json")


def test_records_are_read_once_but_those_of_failures(tmp_path, monkeypatch):
    def write(number, status, **more):
        (tmp_path / f"{number:06}.json").write_text(
            json.dumps({"status": status, "seconds": 2.0, "cpu_seconds": 1.0, **more})
        )
        if status == "done":
            (tmp_path / f"{number:06}.npy").write_bytes(b"values")

    pieces = EndedPieces(tmp_path)
    assert EndedPieces(tmp_path / "nowhere").read() == pieces.read() == {}
    write(1000000, "done")
    write(3, "done")
    write(20, "failed", error="out of luck")
    (tmp_path / "plan.json").write_text("{}")
    found = pieces.read()
    assert list(found) == [3, 20, 1000000]
    assert found[20] == ("failed", 2.0, 1.0, "out of luck")
    read = []
    monkeypatch.setattr(records, "read_record", lambda path: read.append(path.name) or read_record(path))
    write(20, "done")
    write(4, "done")
    (tmp_path / "000003.npy").unlink()
    assert {number: each.status for number, each in pieces.read().items()} == dict.fromkeys((4, 20, 1000000), "done")
    assert sorted(read) == ["000004.json", "000020.json"]


def test_the_head_of_a_record_is_read_again_when_it_changes(tmp_path):
    path = tmp_path / "image.tif.json"
    assert read_head(path) is None
    path.write_text('{"digest": "a", "pieces": [1]}')
    assert read_head(path) == {"digest": "a"}
    path.write_text('{"digest": "other", "pieces": [1]}')
    assert read_head(path) == {"digest": "other"}


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

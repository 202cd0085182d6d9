import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

TOY = """
import os, time


def fail(write):
    write({"what": "first", "holds": True})
    raise ValueError("no such thing")


def lose(write):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def wrong(write):
    write({"what": "second", "error": float("nan"), "holds": False})


def items(device):
    return {
        "fails": fail,
        "is lost": lose,
        "ends the process": lambda write: os._exit(7),
        "hangs": lambda write: time.sleep(60),
        "is wrong": wrong,
    }


def works(device):
    return {"works": lambda write: write({"device": device})}
"""


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__("gpu")
    for name in ("gpu", "gpu_items", "gpu_report"):
        sys.modules.pop(name, None)


def run(gpu, out, *parts, **options):
    gpu.Run(parts, "cuda", out, **options).go()
    return json.loads((out / "gpu.json").read_text())["parts"], (out / "gpu.md").read_text()


def test_what_fails_is_told_and_keeps_nothing_else_from_running(gpu, tmp_path):
    toy = gpu.Part("toy", "A toy", "toy:items", 30, 0.3)
    parts, text = run(
        gpu,
        tmp_path / "out",
        toy,
        gpu.Part("missing", "Not there", "toy:nothing", 30, 30),
        gpu.Part("works", "It works", "toy:works", 30, 30, is_check=False),
    )
    items = {item["name"]: item for item in parts["toy"]["items"]}
    assert {item["state"] for item in items.values()} == {"ended"}
    assert items["fails"]["rows"] == [{"what": "first", "holds": True}]
    assert "ValueError: no such thing" in items["fails"]["error"]
    assert "illegal memory access" in items["is lost"]["error"]
    assert "status 7" in items["ends the process"]["error"]
    assert "stopped after 0 s" in items["hangs"]["error"]
    assert items["is wrong"]["rows"] == [{"what": "second", "error": "nan", "holds": False}]
    assert "AttributeError" in parts["missing"]["error"]
    assert parts["works"]["items"][0]["rows"] == [{"device": "cuda"}]
    for failure in ("A toy**, fails: ", "A toy**, hangs: ", "is wrong: what second, error nan", "Not there**: "):
        assert failure in text
    assert "| device |\n| --- |\n| cuda |" in text


def test_what_there_is_no_time_for_is_told(gpu, tmp_path):
    toy = gpu.Part("works", "It works", "toy:works", 30, 30)
    parts, text = run(gpu, tmp_path, toy, total_seconds=-1)
    assert parts["works"]["items"] == []
    assert "**It works**: The time was over" in text

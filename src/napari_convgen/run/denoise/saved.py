"""A run as a file: all that there is to choose a step from, so that it can be gone on with in another session, or on another machine.

The file is NumPy's ``.npz``: arrays of the input, the reference and the snapshots, and one text in JSON with everything else. The networks
are not kept: with what optimizer and stopping rule remember they would take many times as much as the images, and could be read by the same
version only. A run that was read is continued by taking its steps again, which gives the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from napari_convgen.config import Config
from napari_convgen.core.image import Layout
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.noise.models import NOISE_MODELS
from napari_convgen.core.snapshot import Outcome, Snapshot, StopReason
from napari_convgen.core.stopping import ErrorEstimate
from napari_convgen.errors import FileError
from napari_convgen.files.atomic import check_writable, replacing
from napari_convgen.run.denoise.frame_result import FrameResult
from napari_convgen.run.denoise.result import DenoiseResult, Reference

SUFFIX = ".npz"

NO_RUN = "is not a run that was saved by this program, or is damaged"

FORMAT = 2
"""Version of the file's content; another one is not read."""


def save_run(path: str | Path, result: DenoiseResult, extra: Mapping[str, Any] | None = None) -> None:
    """Write a run to a file, completely or not at all.

    Parameters
    ----------
    path
        File to write, ending in ``.npz``.
    result
        Result of the run.
    extra
        Further plain values to keep with it; none by default.

    Raises
    ------
    FileError
        The ending is another one, or the operating system refuses.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise FileError(
            f"{path} must end in {SUFFIX}, as the whole run is written. To write the image alone: "
            f"write_image({path.name!r}, result.image, read_image(PATH)), with the input's file as PATH."
        )
    check_writable(path, (SUFFIX,))
    arrays: dict[str, Any] = {"image": result.image, "input": np.asarray(result.input)}
    if result.reference is not None:
        arrays["reference"] = result.reference.image
    for frame in result.frames:
        arrays |= _arrays(frame)
    record = {
        "format": FORMAT,
        "config": result.config.model_dump(mode="json"),
        "layout": asdict(result.layout),
        "data_range": None if result.reference is None else result.reference.data_range,
        "frames": [_record(frame) for frame in result.frames],
        "extra": dict(extra or {}),
        **{name: getattr(result, name) for name in PLAIN},
    }
    with replacing(path) as file:
        arrays["convgen"] = np.array(json.dumps(record))
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_run(path: str | Path) -> tuple[DenoiseResult, dict[str, Any]]:
    """Read a run that `save_run` wrote, and what was kept with it.

    Raises
    ------
    FileError
        The file is missing, damaged, or no run.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        record = json.loads(str(arrays.pop("convgen")))
        if record["format"] != FORMAT:
            raise FileError(
                f"{path} was saved by another version of this program, which alone can read it. Repeat the run with this one."
            )
        return _read(record, arrays), record["extra"]
    except (FileError, MemoryError):
        raise
    except Exception as error:  # what is damaged makes the libraries raise almost anything
        reason = f"cannot be read: {error.strerror}" if isinstance(error, OSError) and error.strerror else NO_RUN
        raise FileError(f"{path} {reason}. Choose a file from 'Save run …', or from result.save.") from error


def load(path: str | Path) -> DenoiseResult:
    """Read a run that `DenoiseResult.save` wrote, or *Save run …* in napari, with the step that was chosen there.

    The networks are not kept. To give it more steps, take its own again and then more::

        task = DenoiseTask(result.input, result.config, axes=result.layout.axes)
        for _ in task: ...
        task.extend(500)
        for _ in task: ...

    Parameters
    ----------
    path
        File that ends in ``.npz``.

    Raises
    ------
    FileError
        The file is missing, damaged, or no run.
    """
    result, extra = load_run(path)
    steps = extra.get("chosen_steps")
    return result.keep(steps[-1]) if steps else result


PLAIN = ("notes", "device", "n_threads", "backend", "seconds", "guide_seconds", "n_tiles", "chosen_step")
"""Attributes of a result that are plain values."""

IMAGES = ("iterate", "average", "expected_error")
"""Images of a snapshot."""


def _read(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> DenoiseResult:
    config, frames = Config.from_dict(record["config"]), record["frames"]
    reference = arrays.get("reference")
    return DenoiseResult(
        image=arrays["image"],
        config=config,
        frames=tuple(_frame(frame, arrays, config) for frame in frames),
        layout=Layout(**record["layout"]),
        input=arrays["input"],
        reference=None if reference is None else Reference(reference, record["data_range"]),
        **{name: record[name] for name in PLAIN if name != "notes"},
        notes=tuple(record["notes"]),
    )


def _arrays(frame: FrameResult) -> dict[str, NDArray[Any]]:
    stacks = {name: [getattr(snapshot, name) for snapshot in frame.snapshots] for name in IMAGES}
    return {f"{name}_{frame.number}": np.stack(images) for name, images in stacks.items() if images[0] is not None}


def _record(frame: FrameResult) -> dict[str, Any]:
    return {
        "number": frame.number,
        "index": [i if isinstance(i, int) else [i.start, i.stop] for i in frame.index],
        "step": frame.step,
        "reason": [frame.reason.outcome.value, frame.reason.sentence],
        "seed": frame.seed,
        "loss": frame.loss,
        "criterion": frame.criterion,
        "snapshots": [(each.step, each.loss, each.criterion) for each in frame.snapshots],
        "noise": None if frame.noise is None else asdict(frame.noise),
        "interval": frame.interval,
        "votes": dict(frame.votes),
        "error": None if frame.error is None else [frame.error.mse, frame.error.deviation],
    }


def _frame(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], config: Config) -> FrameResult:
    outcome, sentence = record["reason"]
    return FrameResult(
        number=record["number"],
        index=tuple(i if isinstance(i, int) else slice(*i) for i in record["index"]),
        step=record["step"],
        reason=StopReason(Outcome(outcome), sentence),
        seed=record["seed"],
        loss=tuple(record["loss"]),
        criterion=tuple(record["criterion"]),
        snapshots=tuple(_snapshots(record["number"], record["snapshots"], arrays, config)),
        noise=None if record["noise"] is None else _noise(record["noise"]),
        interval=None if record["interval"] is None else tuple(record["interval"]),
        votes=record["votes"],
        error=None if record["error"] is None else ErrorEstimate(*record["error"]),
    )


def _snapshots(
    number: int, values: Sequence[Sequence[Any]], arrays: Mapping[str, NDArray[Any]], config: Config
) -> list[Snapshot]:
    iterates, averages = arrays[f"iterate_{number}"], arrays[f"average_{number}"]
    errors = arrays.get(f"expected_error_{number}")
    return [
        Snapshot(step, loss, criterion, iterates[i], averages[i], None if errors is None else errors[i], config.output)
        for i, (step, loss, criterion) in enumerate(values)
    ]


def _noise(values: Mapping[str, Any]) -> NoiseModel:
    model = NOISE_MODELS[values["kind"]]
    known = {field.name for field in fields(model) if field.init}
    noise: NoiseModel = TypeAdapter(model).validate_python({name: values[name] for name in known})
    return noise

"""Small scans as scanners and the fastMRI data set store them, written by the published structure."""

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

HEADER = """<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
<encodedSpace><matrixSize><x>{0}</x><y>{1}</y><z>{2}</z></matrixSize><fieldOfView_mm><x>{3}</x><y>{4}</y><z>5</z></fieldOfView_mm>
</encodedSpace><reconSpace><matrixSize><x>{0}</x><y>{1}</y><z>1</z></matrixSize><fieldOfView_mm><x>{5}</x><y>{4}</y><z>5</z>
</fieldOfView_mm></reconSpace><encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{1}</maximum><center>{6}</center>
</kspace_encoding_step_1></encodingLimits><trajectory>{7}</trajectory><parallelImaging><calibrationMode>{8}</calibrationMode>
</parallelImaging></encoding></ismrmrdHeader>"""

INDEX = ("kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast", "phase", "repetition", "set")
HEAD = np.dtype(
    [
        ("flags", "<u8"),
        ("number_of_samples", "<u2"),
        ("active_channels", "<u2"),
        ("discard_pre", "<u2"),
        ("discard_post", "<u2"),
        ("center_sample", "<u2"),
        ("idx", [(name, "<u2") for name in INDEX]),
    ]
)
LINE = np.dtype([("head", HEAD), ("traj", h5py.vlen_dtype("<f4")), ("data", h5py.vlen_dtype("<f4"))])


def header(n_points, lengths=(64.0, 32.0), wanted=64.0, middle=None, trajectory="cartesian", mode="embedded"):
    middle = n_points[1] // 2 if middle is None else middle
    n_z = n_points[2] if len(n_points) > 2 else 1
    return HEADER.format(*n_points[:2], n_z, *lengths, wanted, middle, trajectory, mode)


def write_fastmri(path, kspace, mask=None, xml=None):
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace.astype(np.complex64)
        file["reconstruction_rss"] = np.zeros((len(kspace), 4, 4), np.float32)
        if mask is not None:
            file["mask"] = mask
        if xml is not None:
            file["ismrmrd_header"] = xml


def write_ismrmrd(path, xml, lines):
    """Write lines, each a pair of what is said of it and its values (coils, samples)."""
    data = np.zeros(len(lines), LINE)
    for row, (said, values) in zip(data, lines, strict=True):
        head = row["head"]
        head["number_of_samples"], head["active_channels"] = values.shape[1], values.shape[0]
        head["center_sample"] = values.shape[1] // 2
        for name, value in said.items():
            (head["idx"] if name in INDEX else head)[name] = value
        row["traj"] = np.zeros(0, np.float32)
        row["data"] = np.ascontiguousarray(values, np.complex64).view(np.float32).ravel()
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset("data", data=data)
        group.create_dataset("xml", data=[xml.encode()], dtype=h5py.special_dtype(vlen=bytes))

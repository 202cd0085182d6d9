"""What can be measured of the noise in an image, whatever its kind.

Constants without another origin were chosen on the tuning images (`TUNING` in ``benchmarks/cases.py``) with ``benchmarks/noise.py``.
"""

"""Teach the network of the taught generator, see tools/teach.py."""

"""The commands, a small file for each."""

"""Figures: the content of plots as data, and plots as files."""

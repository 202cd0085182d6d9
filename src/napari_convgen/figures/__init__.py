"""Figures: what a plot shows, as data, and plots as files."""

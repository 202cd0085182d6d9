"""The widget *Reconstruct*."""

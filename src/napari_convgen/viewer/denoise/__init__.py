"""The widget *Denoise*."""

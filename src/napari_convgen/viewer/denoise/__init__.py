"""The widget *Denoise (convolutional generator)*."""

"""The widget *Image against noise*."""

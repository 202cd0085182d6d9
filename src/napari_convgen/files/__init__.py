"""Image files: one module for each format, read with axes and metadata, written completely or not at all."""

"""Image files: read with their axes and metadata, written again whole or not at all."""

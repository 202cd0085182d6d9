"""The widget *Compare methods*."""

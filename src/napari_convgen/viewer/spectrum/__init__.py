"""The widget *Why it works*."""

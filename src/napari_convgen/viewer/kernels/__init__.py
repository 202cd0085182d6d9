"""The widget *Kernel explorer*."""

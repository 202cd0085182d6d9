"""What kernels on the CPU have in common: how they are compiled, and how their tasks are shared out over threads."""

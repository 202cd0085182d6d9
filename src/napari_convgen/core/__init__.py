"""The numerics: generators, fitting, stopping. Knows arrays and tensors, not files or windows."""

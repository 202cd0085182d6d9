"""Image quality: scores against a reference, and statistics of the residual."""

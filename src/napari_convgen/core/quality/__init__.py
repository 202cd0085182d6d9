"""How good an image is: scores against a reference, and what was taken away."""

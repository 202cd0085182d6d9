"""Forward operators: what the instrument makes of an image. Each maps an image x to a prediction of the measurement y."""

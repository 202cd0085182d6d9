"""Classical reconstruction through any linear operator.

Least squares stopped early, total variation, sparse wavelets, and a denoiser in turns with the measurement. What each of them leaves open,
a number of steps or a weight, is chosen by entries of the measurement that are held out, or follows from the noise.
"""

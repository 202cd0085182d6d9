"""Classical reconstruction through any linear operator: least squares stopped early, total variation, and sparse wavelets.

What each of them leaves open, a number of steps or a weight, is chosen by entries of the measurement that are held out.
"""

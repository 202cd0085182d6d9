"""Classical reconstructions to compare the generator's with: one file for each method, each run until it has converged.

A strength, or a number of steps, is chosen by entries of the measurement that are held out, as the generator's stop is: no ground truth is
used.
"""

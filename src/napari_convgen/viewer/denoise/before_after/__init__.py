"""Input and result beside each other: in the same place, on the two sides of a line, and along a line."""

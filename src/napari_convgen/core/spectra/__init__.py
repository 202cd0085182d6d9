"""What the Jacobian of a generator says of it: which images it draws soon, and how fast."""

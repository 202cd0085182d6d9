"""Magnetic resonance imaging with several coils: sampling, noise and coil sensitivities from k-space, and simulated scans."""

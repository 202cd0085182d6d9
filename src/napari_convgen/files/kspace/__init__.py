"""Raw data of magnetic resonance: k-space of one slice, from fastMRI, ISMRMRD and BART files, or any array of complex numbers."""

"""What a microscope does to light: point spread functions, measured and computed."""

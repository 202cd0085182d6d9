"""Phase of thin objects: what their images determine, fits of object and microscope together, and the linear problem near one."""

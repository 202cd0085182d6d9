"""The studies, a file each. All of them have the parts that `napari_convgen.reproduction.study` describes."""

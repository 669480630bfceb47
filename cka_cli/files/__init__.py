"""Activation files: HDF5, NPY, NPZ and folders of NPY, recognised by their bytes, read only when needed."""

from cka_cli.files.registry import open_file

__all__ = ["open_file"]

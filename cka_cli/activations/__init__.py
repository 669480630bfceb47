"""Activation files: HDF5, NPY, NPZ and folders of NPY, recognised by their bytes, read only when needed."""

from cka_cli.activations.formats import open_file
from cka_cli.activations.layer import ActivationFile, Layer
from cka_cli.activations.rows import ReadOptions
from cka_cli.activations.selection import SelectedLayer, select_layers

__all__ = ["ActivationFile", "Layer", "ReadOptions", "SelectedLayer", "open_file", "select_layers"]

"""Pictures as files, as the commands write them."""

from cka_cli.pictures.canvas import figure_bytes


def written(draw, *arguments):
    """The bytes of what `draw` gives of all arguments but the last, which is the format."""
    *drawn, file_format = arguments
    return figure_bytes(lambda: draw(*drawn), file_format)

"""Which rows, columns and axes of which arrays are compared, and how they are centred and read in pieces."""

"""Pictures of results that are no matrix of layers, as a paper prints them; the same bytes for the same input."""

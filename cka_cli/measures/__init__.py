"""The measures: the value of a pair of layers from what was added up of them."""

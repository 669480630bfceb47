"""Sufficient statistics: what is worked out of the layers block by block, and added up.

Blocks come through `source.Source`; Gram sums, products of features, minibatches, factors and median distances
are all that measures are made of.
"""

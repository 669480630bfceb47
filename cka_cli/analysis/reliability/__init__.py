"""What can be wrong with a similarity: pure functions of Gram matrices, one module for each family of checks.

A Gram matrix here is float64, shape (n_examples, n_examples), centred, with a trace of n_examples: the rows of the
layer then have a root mean square norm of 1, and shifts are told in units of it.
"""

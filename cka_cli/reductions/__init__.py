"""Sufficient statistics: what is worked out of layers task by task, and added up.

    source.Source ─▶ kernel_inputs ─▶ kernels ─▶ gram_tiles ─▶ gram_sums    HSIC and CKA by any kernel
                                                 minibatch                  the same, estimated from batches
                  ─▶ feature_products ─────────▶ gram_sums                  by the linear kernel of few features
                  ─▶ medians, near_median                                   the width of a kernel
                  ─▶ factors                                                CCA and its kin

Each is a `protocol.Reduction`, which the one loop of `cka_cli.execution` runs. Layers come block by block through a
`Source`, which may be in memory or on disk; nothing here knows of files, of threads or of what becomes of the sums.
"""

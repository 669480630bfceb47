"""A request carried out as its plan says: reductions run in the one `loop`, on an executor, with a checkpoint."""

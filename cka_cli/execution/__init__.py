"""A request and its plan carried out: the run, its threads, its checkpoint, and what must be said of it."""

"""How far a value can be trusted: standard errors, p-values, and what chance alone gives."""

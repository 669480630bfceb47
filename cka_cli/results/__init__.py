"""Plain values that leave the house."""

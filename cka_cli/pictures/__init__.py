"""Results as pictures: one canvas, and a module for each figure."""

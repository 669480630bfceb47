"""What follows from matrices and from whole Gram matrices."""

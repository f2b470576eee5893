"""A neural network in NumPy, every gradient by hand."""

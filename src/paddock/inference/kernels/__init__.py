"""Finds the C++ library and shows it numpy arrays: products, quantization, repacking."""

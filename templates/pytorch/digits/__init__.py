"""Handwritten digits: a network that learns them, on one host or several."""

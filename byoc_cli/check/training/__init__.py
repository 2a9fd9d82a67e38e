"""Lets an image train: on good input, on bad input, with a stop, on two hosts."""

"""Lets an image serve: starts it, asks it, puts it under load, abuses it, stops it."""

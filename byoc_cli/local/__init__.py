"""Recipes on this machine: building, training, hosting. They never see the terminal; they are given a Progress."""

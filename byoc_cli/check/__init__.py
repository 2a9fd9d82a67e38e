"""What can be known before it costs: of this machine, and (to come) of an image."""

"""One file per command, named as the command: parse, call, give back what to show. No logic."""

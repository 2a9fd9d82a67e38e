"""The inner loop: a project's image with its source as it is now, so that an edit needs no build."""

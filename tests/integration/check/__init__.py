"""`byoc check` on real images: mutants that it has to catch, and sound ones on which it has to be silent."""

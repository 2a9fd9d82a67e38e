"""One golden test per rule of the contract, against the probe image (tests/integration/projects/probe)."""

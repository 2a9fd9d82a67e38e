"""What all tests share. Unit and command tests see no Docker and no network: a guard in unit/conftest.py."""

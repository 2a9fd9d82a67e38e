"""What SageMaker promises a container, as data and pure functions.

No I/O, no third party, nothing done at import. Rule ids (T-12, H-10, I-04, …) are those of docs/contract.md. What each
says is in `rules`, which is not loaded from here: only checks and documents need it.
"""

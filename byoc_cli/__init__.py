"""byoc: bring your own container to Amazon SageMaker, and know on your own machine that it works."""

__version__ = "0.1.0"

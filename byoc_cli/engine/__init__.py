"""The door to Docker: the only place that imports docker or calls the docker CLI. Knows nothing of SageMaker.

`types` is what others use and what a fake must do; `docker_engine.connect()` gives the real one, lazily: docker is
imported only then.
"""

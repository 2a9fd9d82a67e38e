"""Questions to the container engine itself, for the set-up: the same library and rules as byoc's own.

engine.py version            the engine's version; exit 1 with the cause on stderr if none answers
engine.py registry IMAGE     exit 0 if the engine gets an answer about IMAGE from its registry
"""

import sys

import docker
import docker.errors
import requests

SECONDS_FOR_REGISTRY = 8


def engine_version() -> int:
    """Print the engine's version, honouring DOCKER_HOST and the docker context."""
    client = docker.from_env(timeout=10)
    print(client.version()["Version"])
    return 0


def registry_answers(image: str) -> int:
    """Ask through the engine: its way to the registry is the one that counts, not this process's."""
    client = docker.from_env(timeout=SECONDS_FOR_REGISTRY)
    client.images.get_registry_data(image)
    return 0


def main(argv: list[str]) -> int:
    """Run one question."""
    try:
        match argv:
            case ["version"]:
                return engine_version()
            case ["registry", image]:
                return registry_answers(image)
    except (docker.errors.DockerException, requests.RequestException) as error:
        print(error, file=sys.stderr)
        return 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

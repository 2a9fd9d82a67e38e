"""The optional row: the same two things by a script that uses the SageMaker SDK 2.x's local mode."""

from __future__ import annotations

import json
import os
import shutil
import time

from bench.figures import Figure, Reach
from bench.rows_byoc import serve_seconds
from bench.shell import byoc, run, side_by_side, timed
from bench.workshop import HERE, Workshop, free_port

PYTHON_VARIABLE = "BYOC_BENCH_SDK_PYTHON"


def missing(shop: Workshop) -> str:
    """Say what is not there for this row; "" if all is."""
    if not shop.sdk_python:
        return f"no Python with sagemaker 2.x given (--sdk-python or ${PYTHON_VARIABLE})"
    version = run([shop.sdk_python, "-c", "import sagemaker; print(sagemaker.__version__)"], check=False).strip()
    if not version.startswith("2."):
        return f"{shop.sdk_python} has no sagemaker 2.x" + (f", but {version}" if version else "")
    # The SDK knows a plugin only by the text "v2" in its version, else a docker-compose on PATH.
    if "v2" not in run(["docker", "compose", "version"], check=False) and not shutil.which("docker-compose"):
        return "there is no docker compose that the SDK accepts"
    return ""


def sdk(shop: Workshop) -> list[Figure]:
    """Whole processes: what a user waits for at the prompt."""
    toy = shop.toy()
    # The SDK refuses to mount from below /root, /etc and the like: its folder is where it makes its own.
    work = shop.folder / "sdk"
    work.mkdir(exist_ok=True)

    def script(action: str) -> dict[str, float]:
        printed = run([shop.sdk_python, HERE / "sdk_job.py", action, toy, work, str(free_port())], cwd=work)
        seconds: dict[str, float] = json.loads(printed.strip().splitlines()[-1])
        return seconds

    def sdk_fit() -> float:
        start = time.perf_counter()
        script("fit")
        return time.perf_counter() - start

    def sdk_deploy() -> float:
        return script("deploy")["deploy"]

    fit = side_by_side(lambda: timed([*byoc(), "local-train", toy], cwd=shop.project), sdk_fit, shop.rounds)
    deploy = side_by_side(lambda: serve_seconds(shop), sdk_deploy, shop.rounds)
    sooner = Reach(1.0)
    return [
        Figure("sdk-train", "`byoc local-train`, whole process", "s", sooner, *fit, "script with Estimator.fit()"),
        Figure("sdk-serve", "`byoc serve --detach`, whole process", "s", sooner, *deploy, "Model.deploy() alone"),
    ]


def default_python() -> str:
    """Return what the environment says."""
    return os.environ.get(PYTHON_VARIABLE, "")

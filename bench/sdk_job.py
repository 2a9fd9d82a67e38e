"""Runs in the SDK's own Python: one fit or one deploy in local mode; prints {"fit": seconds} or {"deploy": seconds}.

What it takes where there is no AWS account: a region, a role's ARN (of any shape) and an output_path on this machine.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
ROLE = "arn:aws:iam::000000000000:role/bench"


def session(work: Path, port: str = "8080") -> Any:
    """Make a local session that keeps its files in our folder, which is removed."""
    from sagemaker.local import LocalSession

    made = LocalSession()
    made.config = {"local": {"container_root": str(work), "serving_port": int(port), "local_code": True}}
    return made


def fit(image: str, work: Path, _port: str) -> dict[str, float]:
    """Train once, nothing to read."""
    from sagemaker.estimator import Estimator

    start = time.perf_counter()
    output = f"file://{work}/output"
    Estimator(
        image_uri=image,
        role=ROLE,
        instance_count=1,
        instance_type="local",
        output_path=output,
        sagemaker_session=session(work),
    ).fit()
    return {"fit": time.perf_counter() - start}


def deploy(image: str, work: Path, port: str) -> dict[str, float]:
    """Deploy an empty model once, and take it down."""
    import tarfile

    from sagemaker.model import Model

    archive = work / "model.tar.gz"
    with tarfile.open(archive, "w:gz"):
        pass
    model = Model(
        image_uri=image, model_data=f"file://{archive}", role=ROLE, sagemaker_session=(local := session(work, port))
    )
    start = time.perf_counter()
    model.deploy(initial_instance_count=1, instance_type="local", endpoint_name="bench")
    seconds = time.perf_counter() - start
    local.delete_endpoint("bench")
    return {"deploy": seconds}


if __name__ == "__main__":
    action, image_uri, folder, free_port = sys.argv[1:]
    print(json.dumps((fit if action == "fit" else deploy)(image_uri, Path(folder), free_port)))

"""`Predictor` of SageMaker's SDK 2.x, unmodified, before a local endpoint; `scripts/setup sdk-v2` installs it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.world import Byoc, environment

pytestmark = pytest.mark.integration

PYTHON = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "byoc", "sagemaker-sdk-v2", "bin", "python")

# What a user writes: only the client's endpoint_url is another one.
SCRIPT = """\
import json, sys

import boto3
from botocore.exceptions import ClientError
from sagemaker.deserializers import JSONDeserializer
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer, JSONSerializer
from sagemaker.session import Session

url, name, out = sys.argv[1:]
boto_session = boto3.Session(aws_access_key_id="A" * 20, aws_secret_access_key="x", region_name="eu-west-1")
session = Session(
    boto_session=boto_session, sagemaker_runtime_client=boto_session.client("sagemaker-runtime", endpoint_url=url)
)
predictor = Predictor(name, sagemaker_session=session, serializer=JSONSerializer(), deserializer=JSONDeserializer())
said = {"json": predictor.predict({"instances": [[1, 2]]})}
said["options"] = predictor.predict(
    [1], target_variant="AllTraffic", inference_id="id-1", custom_attributes="mine"
)
try:
    predictor.predict([1], target_model="m.tar.gz")
except ClientError as error:
    said["model"] = error.response["Error"]
try:
    predictor.predict([1], custom_attributes="status:418")
except ClientError as error:
    told, error = error.response, error.response["Error"]
    said["error"] = [error["Code"], error["Message"], told["OriginalStatusCode"], told["OriginalMessage"]]
said["csv"] = Predictor(name, session, CSVSerializer(), JSONDeserializer()).predict([[1, 2], [3, 4]])
said["bytes"] = Predictor(name, session).predict(b"as it is").decode()
said["stream"] = b"".join(Predictor(name, session).predict_stream(b"x", custom_attributes="stream:at-once")).decode()
try:
    Predictor("another", session).predict(b"x")
except ClientError as error:
    said["another"] = error.response["Error"]
json.dump(said, open(out, "w"))
"""


def test_predictor_of_sdk_v2(byoc: Byoc, project: Path, free_port: int, tmp_path: Path) -> None:
    assert PYTHON.exists(), "run `scripts/setup sdk-v2` first"
    out = tmp_path / "said.json"
    served = byoc("serve", "--detach", "--json", "--port", str(free_port), cwd=project).json()
    try:
        ran = subprocess.run(
            [PYTHON, "-W", "ignore", "-c", SCRIPT, served["endpoint"], served["name"], out],
            env=environment({"SAGEMAKER_SUPPRESS_V2_WARNING": "1", "HOME": str(tmp_path)}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        assert byoc("stop", cwd=project).code == 0
    assert ran.returncode == 0, ran.stderr
    said = json.loads(out.read_text())

    seen = said["json"]
    assert (seen["path"], json.loads(seen["body"])) == ("/invocations", {"instances": [[1, 2]]})
    assert {key: seen["headers"][key] for key in ("Content-Type", "Accept")} == dict.fromkeys(
        ("Content-Type", "Accept"), "application/json"
    )
    sent = {key: value for key, value in said["options"]["headers"].items() if key.startswith("X-Amzn-SageMaker-")}
    assert sent == {
        "X-Amzn-SageMaker-Target-Variant": "AllTraffic",
        "X-Amzn-SageMaker-Inference-Id": "id-1",
        "X-Amzn-SageMaker-Custom-Attributes": "mine",
    }
    assert said["model"]["Code"] == "ValidationError"
    assert "does not support target model header" in said["model"]["Message"]
    code, message, status, original = said["error"]
    assert (code, status, original) == ("ModelError", 418, "the model says no")
    assert 'Received client error (418) from primary with message "the model says no"' in message
    assert (said["csv"]["headers"]["Content-Type"], said["csv"]["body"]) == ("text/csv", "1,2\n3,4")
    assert json.loads(said["bytes"])["body"] == "as it is"
    assert said["stream"] == "part 0\npart 1\npart 2\n"
    assert said["another"]["Code"] == "ValidationError"
    assert "Endpoint another of account 000000000000 not found" in said["another"]["Message"]

"""The bundled CIFAR-10 container on a real engine: trains, exports, serves, stops, and says what is wrong."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import numpy as np
import pytest
import requests
from docker.models.containers import Container
from PIL import Image

pytestmark = pytest.mark.integration

CONTAINER = Path(__file__).parents[2] / "container"
HARDENED: dict[str, Any] = {"user": "12345", "read_only": True, "tmpfs": {"/tmp": ""}}
SHAPE = (32, 32, 3)
PUBLISHED: dict[str, Any] = {"8080/tcp": ("127.0.0.1", None)}
Start = Callable[..., Container]


@pytest.fixture
def start(docker_client: docker.DockerClient, cifar10_image: str) -> Iterator[Start]:
    """Start a container of the image without network; it is removed at the end of the test."""
    started: list[Container] = []

    def run(word: str, mounts: dict[Path, str], **options: Any) -> Container:
        volumes = {str(path): {"bind": target, "mode": mode} for path, (target, mode) in _modes(mounts).items()}
        options = {"network_mode": "none", **options}
        container = docker_client.containers.create(cifar10_image, [word], volumes=volumes, **options)
        started.append(container)
        container.start()
        return container

    yield run
    for container in started:
        container.remove(force=True, v=True)


def _modes(mounts: dict[Path, str]) -> dict[Path, tuple[str, str]]:
    parted = {path: target.partition(":") for path, target in mounts.items()}
    return {path: (target, mode or "rw") for path, (target, _, mode) in parted.items()}


class Job:
    """The folders of one training job, writable for any user as `--user 12345` needs it."""

    def __init__(self, root: Path, hyperparameters: dict[str, str], data: Path) -> None:
        self.config, self.model, self.output, self.checkpoints = (
            root / name for name in ("config", "model", "output", "checkpoints")
        )
        for folder in (self.config, self.model, self.output, self.checkpoints):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
        (self.config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
        self.mounts = {
            self.config: "/opt/ml/input/config:ro",
            data: "/opt/ml/input/data/training:ro",
            self.model: "/opt/ml/model",
            self.output: "/opt/ml/output",
            self.checkpoints: "/opt/ml/checkpoints",
        }

    def failure(self) -> str:
        return (self.output / "failure").read_text()


def ended(container: Container) -> tuple[int, str]:
    """Wait for a container and return its exit code and log."""
    code = container.wait(timeout=240)["StatusCode"]
    return code, container.logs().decode()


def wait_for_log(container: Container, text: str) -> None:
    deadline = time.monotonic() + 120
    while text not in container.logs().decode():
        container.reload()
        assert container.status in {"created", "running"}, container.logs().decode()
        assert time.monotonic() < deadline, container.logs().decode()
        time.sleep(0.1)


# ---- training --------------------------------------------------------------------------------------------------


def test_100_steps_reach_half_accuracy_as_any_user_without_network(
    start: Start, cifar10_data: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path, {"train-steps": "100"}, cifar10_data)

    code, log = ended(start("train", job.mounts, **HARDENED))

    assert code == 0, log
    accuracy = re.search(r"\beval_accuracy=([0-9.]+)", log)
    assert accuracy, log
    assert float(accuracy[1]) >= 0.50, log
    assert len(re.findall(r"\bloss=[0-9.]+ accuracy=[0-9.]+ learning_rate=", log)) == 10
    assert (job.model / "cifar10" / "1" / "saved_model.pb").is_file()
    assert not (job.output / "failure").exists()


def test_sigterm_saves_and_a_second_run_resumes(start: Start, cifar10_data: Path, tmp_path: Path) -> None:
    job = Job(tmp_path, {"train-steps": "100000", "log-steps": "1"}, cifar10_data)
    container = start("train", job.mounts)
    wait_for_log(container, "step=3 ")

    container.stop(timeout=120)

    code, log = ended(container)
    assert code == 0, log  # not killed after its time
    assert "SIGTERM received" in log
    assert (job.model / "cifar10" / "1" / "saved_model.pb").is_file()
    (saved,) = job.checkpoints.glob("checkpoint-*.npz")
    step = int(re.findall(r"\d+", saved.name)[0])

    again = Job(tmp_path, {"train-steps": str(step + 2), "log-steps": "1"}, cifar10_data)
    code, log = ended(start("train", again.mounts))
    assert code == 0, log
    assert f"resumed from the checkpoint of step {step}" in log
    assert f"step={step + 1} " in log
    assert f"step={step} " not in log


@pytest.mark.parametrize(
    ("hyperparameters", "cause"),
    [
        ({"train-stepz": "1"}, "unknown hyperparameter train-stepz: did you mean train-steps?"),
        ({"train-steps": "many"}, "hyperparameter train-steps is 'many': it must be a whole number"),
        ({"learning-rate": "-1"}, "hyperparameter learning-rate is -1: it must be from"),
    ],
)
def test_a_bad_hyperparameter_is_the_failure_reason(
    start: Start, cifar10_data: Path, tmp_path: Path, hyperparameters: dict[str, str], cause: str
) -> None:
    job = Job(tmp_path, hyperparameters, cifar10_data)

    code, log = ended(start("train", job.mounts))

    assert code == 1
    assert job.failure().startswith(cause)
    assert "Traceback" not in log


def test_an_empty_channel_is_the_failure_reason(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    job = Job(tmp_path, {}, data)

    code, _log = ended(start("train", job.mounts))

    assert code == 1
    assert job.failure().startswith("channel training has no train.tfrecords: it holds nothing")


def test_corrupt_data_is_the_failure_reason(start: Start, cifar10_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(cifar10_data / "eval.tfrecords", data)
    content = bytearray((cifar10_data / "eval.tfrecords").read_bytes())
    content[5_000] ^= 0xFF
    (data / "train.tfrecords").write_bytes(content)
    job = Job(tmp_path, {"train-steps": "2"}, data)

    code, _log = ended(start("train", job.mounts))

    assert code == 1
    assert job.failure().startswith("train.tfrecords cannot be read as CIFAR-10 TFRecords: corrupted record")


# ---- the exported model ------------------------------------------------------------------------------------------

LOAD_AS_TENSORFLOW_SERVING_DOES = """
import json, sys
import numpy as np, tensorflow as tf
images = np.load("/tmp/in/images.npy")
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    meta = tf.compat.v1.saved_model.load(session, ["serve"], "/opt/ml/model/cifar10/1")
    signature = meta.signature_def["serving_default"]
    outputs = {name: info.name for name, info in signature.outputs.items()}
    got = session.run(outputs, {signature.inputs["image"].name: images})
    bare = session.run(outputs, {signature.inputs["image"].name: images[0]})
loaded = tf.saved_model.load("/opt/ml/model/cifar10/1").signatures["serving_default"](image=tf.constant(images))
print("RESULT", json.dumps({
    "classes": got["classes"].tolist(),
    "probabilities": got["probabilities"].tolist(),
    "bare": bare["classes"].tolist(),
    "tf2": loaded["probabilities"].numpy().tolist(),
}))
"""


def read_test_pictures(data: Path, count: int) -> np.ndarray:
    """The first test pictures, [count, 32, 32, 3] uint8."""
    sys.path.insert(0, str(CONTAINER / "utils"))
    import tfrecord_files

    records = tfrecord_files.read_records(data / "eval.tfrecords")
    payloads = [next(records) for _ in range(count)]
    start = payloads[0].index(b"\x80\x18", 0) + 2  # the image's length, 3,072, as protobuf writes it
    images = [np.frombuffer(payload, np.uint8, tfrecord_files.IMAGE_BYTES, start) for payload in payloads]
    return np.stack(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def test_a_session_loads_the_export_as_tensorflow_serving_does(
    docker_client: docker.DockerClient,
    cifar10_image: str,
    trained_model: Path,
    cifar10_data: Path,
    tmp_path: Path,
    endpoint: str,
) -> None:
    """The export trap: a wrong way of saving loads in Python and fails in a C++ session."""
    images = read_test_pictures(cifar10_data, 4)
    np.save(tmp_path / "images.npy", images.astype(np.float32))

    output = docker_client.containers.run(
        cifar10_image,
        ["python", "-c", LOAD_AS_TENSORFLOW_SERVING_DOES],
        volumes=[f"{trained_model}:/opt/ml/model:ro", f"{tmp_path}:/tmp/in:ro"],
        network_mode="none",
        remove=True,
    ).decode()
    result = json.loads(output.split("RESULT", 1)[1])
    served = post(endpoint, {"inputs": images.tolist()}).json()["outputs"]

    assert np.allclose(result["probabilities"], result["tf2"], atol=1e-5)
    assert np.allclose(result["probabilities"], served["probabilities"], atol=1e-5)
    assert result["classes"] == served["classes"]
    assert result["bare"] == result["classes"][:1]


# ---- serving -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint(docker_client: docker.DockerClient, cifar10_image: str, trained_model: Path) -> Iterator[str]:
    """The URL of a hardened serving container, on a network of its own."""
    network = docker_client.networks.create(f"byoc-test-cifar10-{secrets.token_hex(4)}")
    container = docker_client.containers.create(
        cifar10_image,
        ["serve"],
        volumes=[f"{trained_model}:/opt/ml/model:ro"],
        network=network.name,
        ports=PUBLISHED,
        **HARDENED,
    )
    try:
        container.start()
        yield wait_for_ping(container)
    finally:
        container.remove(force=True, v=True)
        network.remove()


def wait_for_ping(container: Container, port: int = 8080) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        container.reload()
        assert container.status in {"created", "running"}, container.logs().decode()
        bindings = container.ports.get(f"{port}/tcp") or []
        for binding in bindings:
            url = f"http://127.0.0.1:{binding['HostPort']}"
            try:
                if requests.get(f"{url}/ping", timeout=60).status_code == 200:
                    return url
            except requests.RequestException:
                pass
        time.sleep(0.02)
    raise AssertionError(container.logs().decode())


def post(url: str, body: object, content_type: str = "application/json") -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(f"{url}/invocations", data=data, headers={"Content-Type": content_type}, timeout=60)


def cat() -> list[Any]:
    """The bundled picture as 32x32 RGB."""
    with Image.open(CONTAINER / "cat.png") as picture:
        pixels: list[Any] = np.asarray(picture.convert("RGB").resize(SHAPE[:2])).tolist()
        return pixels


@pytest.mark.parametrize(
    "instances",
    [[cat()], cat(), [{"image": cat()}], np.array([cat()], float).tolist()],
    ids=["batch", "bare", "named", "floats"],
)
def test_rows(endpoint: str, instances: object) -> None:
    answer = post(endpoint, {"instances": instances})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    (prediction,) = answer.json()["predictions"]
    assert set(prediction) == {"probabilities", "classes"}
    assert len(prediction["probabilities"]) == 10
    assert sum(prediction["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert prediction["classes"] == int(np.argmax(prediction["probabilities"]))


def test_columns_and_signature_name(endpoint: str) -> None:
    answer = post(endpoint, {"signature_name": "serving_default", "inputs": {"image": [cat(), cat()]}})

    outputs = answer.json()["outputs"]
    assert np.shape(outputs["probabilities"]) == (2, 10)
    assert outputs["classes"][0] == outputs["classes"][1]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "JSON Parse error"),
        (b'{"instances": [NaN]}', 400, "JSON Parse error"),
        (b"[" * 100_000, 400, "JSON Parse error"),
        ({"instance": [cat()]}, 400, "Missing 'inputs' or 'instances' key"),
        ({"instances": []}, 400, "No values"),
        ({"instances": [[["a"]]]}, 400, "numbers only"),
        ({"instances": [None]}, 400, "numbers only"),
        ({"instances": [cat()[:28]]}, 400, "shape [1,28,32,3], expected [n,32,32,3]"),
        ({"instances": [cat(), cat()[:28]]}, 400, "expected [n,32,32,3]"),
        ({"instances": [cat()], "signature_name": "x"}, 400, 'signature name: "x" not found'),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(endpoint: str, body: object, status: int, text: str) -> None:
    answer = post(endpoint, body)

    assert answer.status_code == status
    assert text in answer.json()["error"]
    assert post(endpoint, {"instances": [cat()]}).status_code == 200


def test_another_content_type_is_refused(endpoint: str) -> None:
    answer = post(endpoint, b"1,2,3", "text/csv")

    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]


def test_tensorflow_servings_own_paths(endpoint: str) -> None:
    status = requests.get(f"{endpoint}/v1/models/cifar10", timeout=60).json()
    predicted = requests.post(
        f"{endpoint}/v1/models/cifar10/versions/1:predict", json={"instances": [cat()]}, timeout=60
    )

    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    assert predicted.status_code == 200
    assert "error" in requests.get(f"{endpoint}/v1/models/other", timeout=60).json()


def test_ping_by_get_and_post_and_no_other_paths(endpoint: str) -> None:
    assert requests.get(f"{endpoint}/ping", timeout=60).status_code == 200
    assert requests.post(f"{endpoint}/ping", data=b"x", timeout=60).status_code == 200
    elsewhere = requests.get(f"{endpoint}/elsewhere", timeout=60)
    assert (elsewhere.status_code, "error" in elsewhere.json()) == (404, True)


def test_a_body_of_25_mb_passes_and_ping_stays_quick(endpoint: str) -> None:
    body = json.dumps({"instances": [cat()] * 1_600}).encode()
    body += b" " * (25 * 2**20 - len(body))
    answers: list[requests.Response] = []
    sender = threading.Thread(target=lambda: answers.append(post(endpoint, body)))

    sender.start()
    pings = 0
    while not answers and sender.is_alive():
        assert requests.get(f"{endpoint}/ping", timeout=60).status_code == 200
        pings += not answers
    sender.join()

    # Of one that waits for the other there would be one.
    assert pings > 3
    assert answers[0].status_code == 200
    assert len(answers[0].json()["predictions"]) == 1_600


def test_parallel_requests_get_their_own_answers(endpoint: str, cifar10_data: Path) -> None:
    images = read_test_pictures(cifar10_data, 24)
    expected = post(endpoint, {"inputs": images.tolist()}).json()["outputs"]["probabilities"]
    got: dict[int, list[float]] = {}

    def ask(index: int) -> None:
        answer = post(endpoint, {"instances": [images[index].tolist()]})
        got[index] = answer.json()["predictions"][0]["probabilities"]

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert np.allclose([got[index] for index in range(len(images))], expected, atol=1e-5)


def begun(url: str, length: int) -> socket.socket:
    """Begin a request, and wait until the server has seen it: it says that it wants the body."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=60)
    head = f"POST /invocations HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n".encode())
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return connection


def test_sigterm_finishes_requests_and_exits_0(
    docker_client: docker.DockerClient, cifar10_image: str, trained_model: Path
) -> None:
    network = docker_client.networks.create(f"byoc-test-cifar10-{secrets.token_hex(4)}")
    container = docker_client.containers.create(
        cifar10_image,
        ["serve"],
        volumes=[f"{trained_model}:/opt/ml/model:ro"],
        network=network.name,
        ports=PUBLISHED,
    )
    try:
        container.start()
        url = wait_for_ping(container)
        body = json.dumps({"instances": [cat()] * 400}).encode()
        with ExitStack() as opened:
            connections = [opened.enter_context(begun(url, len(body))) for _ in range(4)]
            for connection in connections:
                connection.sendall(body)
            container.stop(timeout=60)
            answers = [connection.makefile("rb").readline() for connection in connections]
        assert answers == [b"HTTP/1.1 200 OK\r\n"] * 4
        assert container.wait()["StatusCode"] == 0, "not killed after its time"
        assert "/ping" not in container.logs().decode()
    finally:
        container.remove(force=True, v=True)
        network.remove()


def run_inside(container: Container, code: str) -> str:
    """Run Python in a container without network and return what it prints."""
    output = container.exec_run(["python", "-c", code]).output
    assert isinstance(output, bytes)
    return output.decode().strip()


def ask_inside(container: Container, port: int, path: str = "/ping") -> str:
    code = f"import urllib.request as u, sys;print(u.urlopen('http://127.0.0.1:{port}{path}', timeout=60).status)"
    return run_inside(container, code)


def test_it_listens_where_a_pipeline_wants_it(start: Start, trained_model: Path) -> None:
    environment = {"SAGEMAKER_BIND_TO_PORT": "8090", "SAGEMAKER_SAFE_PORT_RANGE": "9000-9100"}
    container = start("serve", {trained_model: "/opt/ml/model:ro"}, environment=environment)
    wait_for_log(container, "on port 8090")

    deadline = time.monotonic() + 60
    while (answer := ask_inside(container, 8090)) != "200":
        assert time.monotonic() < deadline, answer
    assert container.image is not None
    assert container.image.labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"


def test_without_a_model_it_says_so(start: Start, tmp_path: Path) -> None:
    code, log = ended(start("serve", {tmp_path: "/opt/ml/model:ro"}))

    assert code == 1
    assert log.startswith("error: there is no model: /opt/ml/model is empty")


@pytest.mark.parametrize("victim", ["nginx", "model_server.py"])
def test_when_one_process_dies_all_do(start: Start, trained_model: Path, victim: str) -> None:
    container = start("serve", {trained_model: "/opt/ml/model:ro"})
    wait_for_log(container, "on port 8080")
    kill = (
        "import os, signal, pathlib\n"
        "for p in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
        "    try:\n"
        "        words = p.read_bytes()\n"
        "    except OSError:\n"  # it has ended
        "        continue\n"
        f"    if b'{victim}' in words and b'serve\\0' not in words and b'-c\\0import' not in words:\n"
        "        os.kill(int(p.parent.name), signal.SIGKILL); break\n"
    )
    container.exec_run(["python", "-c", kill])

    code, log = ended(container)
    assert code == 1
    assert "ended by itself with signal SIGKILL: stopping the rest" in log


def test_tensorflow_is_the_fallback(start: Start, trained_model: Path) -> None:
    container = start("serve", {trained_model: "/opt/ml/model:ro"}, environment={"MODEL_RUNTIME": "tensorflow"})
    wait_for_log(container, "on port 8080")

    assert "loaded by TensorFlow" in container.logs().decode()
    assert ask_inside(container, 8080) == "200"


# ---- TensorFlow Serving --------------------------------------------------------------------------------------------

# Stands in for the real binary: the same options, the status path, and an answer that shows who gave it.
STAND_IN = """#!/opt/venv/bin/python
import http.server, sys
options = dict(word.lstrip('-').split('=', 1) for word in sys.argv[1:])
path = '/v1/models/' + options['model_name']
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        assert self.path == path
        self.answer(b'{"model_version_status": [{"version": "1", "state": "AVAILABLE"}]}')
    def do_POST(self):
        assert self.path == path + ':predict'
        self.answer(b'{"predictions": "of the stand-in"}')
assert options['port'] == '0' and options['model_base_path'] == '/opt/ml/model/cifar10'
http.server.ThreadingHTTPServer(('127.0.0.1', int(options['rest_api_port'])), Handler).serve_forever()
"""


def test_tensorflow_serving_is_used_where_the_image_has_it(start: Start, trained_model: Path, tmp_path: Path) -> None:
    binary = tmp_path / "tensorflow_model_server"
    binary.write_text(STAND_IN)
    binary.chmod(0o755)
    mounts = {trained_model: "/opt/ml/model:ro", binary: "/usr/bin/tensorflow_model_server:ro"}

    container = start("serve", mounts)
    wait_for_log(container, "by TensorFlow Serving on port 8080")

    post_inside = (
        "import urllib.request as u;"
        "print(u.urlopen('http://127.0.0.1:8080/invocations', data=b'{}', timeout=60).read().decode())"
    )
    assert ask_inside(container, 8080) == "200"
    assert "of the stand-in" in run_inside(container, post_inside)
    container.stop(timeout=30)
    assert container.wait()["StatusCode"] == 0

"""The bundled container's server, as far as it needs no TensorFlow, OpenVINO or nginx."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import predict_api
import pytest
import supervisor
from batching import MAX_BATCH, Batcher
from model_files import ModelMissingError, ServedModel, find_model
from predict_api import BadRequestError, Predictions

CONTAINER = Path(__file__).parents[2] / "container"
PICTURE = np.arange(32 * 32 * 3).reshape(32, 32, 3) % 256


def encode(**request: object) -> bytes:
    return json.dumps(request).encode()


@pytest.mark.parametrize(
    "body",
    [
        encode(instances=[PICTURE.tolist()]),
        encode(instances=PICTURE.tolist()),
        encode(instances=PICTURE.astype(float).tolist()),
        encode(instances=[{"image": PICTURE.tolist()}], signature_name="serving_default"),
        encode(inputs=[PICTURE.tolist()]),
        encode(inputs={"image": PICTURE.tolist()}, signature_name=""),
    ],
)
def test_every_form_of_request_is_the_same_batch(body: bytes) -> None:
    request = predict_api.decode_request(body)

    assert request.images.dtype == np.float32
    assert np.array_equal(request.images, PICTURE[np.newaxis])
    assert request.columnar == (b'"inputs"' in body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: "),
        (b'{"instances": [NaN]}', "JSON Parse error: "),
        (b'{"instances": [1e999]}', "JSON Parse error: "),
        (b"\xff", "JSON Parse error: "),
        (b"[1]", "the request must be a JSON object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (encode(instances=[1], inputs=[1]), "give one of"),
        (encode(instances=3), "'instances' must be a list"),
        (encode(instances=[]), "No values in 'instances' array"),
        (encode(instances=[[["1"]]]), "'instances' must hold numbers only"),
        (encode(instances=[None]), "'instances' must hold numbers only"),
        (encode(instances=[True]), "'instances' must hold numbers only"),
        (encode(instances=[[1, 2], [3]]), "'instances' is not a regular array"),
        (encode(instances=[{"picture": 1}]), "element 0 of 'instances': its keys must be equal to: image"),
        (encode(instances=[{"image": 1}, 2]), "element 1 of 'instances': its keys must be equal to: image"),
        (encode(inputs={"picture": 1}), "the keys of 'inputs' must be equal to: image"),
        (encode(inputs=3), "'inputs' has shape [], expected [n,32,32,3]"),
        (encode(inputs=[]), "'inputs' has shape [0], expected [n,32,32,3]"),
        (encode(instances=PICTURE[:28].tolist()), "'instances' has shape [28,32,3], expected [n,32,32,3]"),
        (encode(instances=PICTURE.transpose(2, 0, 1).tolist()), "'instances' has shape [3,32,32], expected"),
        (encode(instances=np.full((32, 32, 3), 1e300).tolist()), "'instances' has a number that does not fit"),
        (encode(instances=[1], signature_name=1), "'signature_name' key must be a string"),
        (encode(instances=[1], signature_name="x"), 'Serving signature name: "x" not found'),
    ],
)
def test_a_bad_request_names_its_mistake(body: bytes, message: str) -> None:
    with pytest.raises(BadRequestError) as raised:
        predict_api.decode_request(body)

    assert str(raised.value).startswith(message)
    assert raised.value.status == 400


def test_only_what_says_it_is_not_json_is_refused() -> None:
    for accepted in ("", "application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded"):
        predict_api.check_content_type(accepted)
    for refused in ("text/csv", "image/png", "application/x-npy"):
        with pytest.raises(BadRequestError, match=f"{refused} is not supported") as raised:
            predict_api.check_content_type(refused)
        assert raised.value.status == 415


def test_answers_have_tensorflow_servings_form() -> None:
    probabilities = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
    predictions = Predictions(probabilities, np.array([1, 0]))

    assert json.loads(predict_api.encode_predictions(predictions, columnar=False)) == {
        "predictions": [
            {"probabilities": [0.25, 0.75], "classes": 1},
            {"probabilities": [1.0, 0.0], "classes": 0},
        ]
    }
    assert json.loads(predict_api.encode_predictions(predictions, columnar=True)) == {
        "outputs": {"probabilities": [[0.25, 0.75], [1.0, 0.0]], "classes": [1, 0]}
    }
    assert json.loads(predict_api.encode_error('a "b"')) == {"error": 'a "b"'}


class FakeModel:
    """Says of each picture which number its first value is; waits for a permit if told to."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.permit = threading.Event()
        self.permit.set()
        self.asked = threading.Event()

    def __call__(self, images: np.ndarray) -> Predictions:
        self.asked.set()
        self.permit.wait(60)
        self.sizes.append(len(images))
        if (images < 0).any():
            raise ValueError("a negative picture")
        first = images[:, 0, 0, :1]
        return Predictions(first, first[:, 0].astype(np.int64))


def picture(value: float, count: int = 1) -> np.ndarray:
    return np.full((count, 32, 32, 3), value, np.float32)


def test_what_queues_up_becomes_one_batch() -> None:
    model = FakeModel()

    async def scenario() -> list[Predictions]:
        batcher = Batcher(model)
        model.permit.clear()
        waiting = [asyncio.create_task(batcher.predict(picture(0)))]
        assert await asyncio.to_thread(model.asked.wait, 60)
        waiting += [asyncio.create_task(batcher.predict(picture(value))) for value in range(1, MAX_BATCH + 3)]
        await asyncio.sleep(0.05)
        model.permit.set()
        return await asyncio.gather(*waiting)

    results = asyncio.run(scenario())

    assert [int(result.classes[0]) for result in results] == list(range(MAX_BATCH + 3))
    assert model.sizes == [1, MAX_BATCH, 2]


def test_a_big_request_goes_alone_and_whole() -> None:
    model = FakeModel()

    async def scenario() -> Predictions:
        return await Batcher(model).predict(picture(3, count=100))

    assert asyncio.run(scenario()).classes.tolist() == [3] * 100
    assert model.sizes == [100]


def test_a_failing_call_fails_its_requests_and_no_others() -> None:
    async def scenario() -> list[Any]:
        batcher = Batcher(FakeModel())
        failed = await asyncio.gather(batcher.predict(picture(-1)), return_exceptions=True)
        return [*failed, await batcher.predict(picture(5))]

    error, result = asyncio.run(scenario())

    assert str(error) == "a negative picture"
    assert result.classes.tolist() == [5]


def make_model(root: Path, *versions: str) -> None:
    for version in versions:
        (root / version).mkdir(parents=True)
        (root / version / "saved_model.pb").touch()


def test_the_highest_version_is_found_in_both_layouts(tmp_path: Path) -> None:
    make_model(tmp_path / "a" / "flowers", "2", "10", "notes")
    make_model(tmp_path / "b", "7")

    assert find_model(tmp_path / "a") == ServedModel("flowers", tmp_path / "a" / "flowers", 10)
    assert find_model(tmp_path / "b") == ServedModel("cifar10", tmp_path / "b", 7)
    assert find_model(tmp_path / "b").folder == tmp_path / "b" / "7"


def test_a_missing_model_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="is empty"):
        find_model(tmp_path)
    (tmp_path / "model.h5").touch()
    with pytest.raises(ModelMissingError, match=r"cifar10/1/saved_model.pb, .* holds model\.h5"):
        find_model(tmp_path)


MODEL = ServedModel("cifar10", Path("/opt/ml/model/cifar10"), 1)


def test_tensorflow_serving_is_chosen_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "tensorflow_model_server"
    binary.touch()
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SAGEMAKER_SAFE_PORT_RANGE", "9000-9010")

    (server,) = supervisor.choose_servers(MODEL, tmp_path)
    assert server.nginx_address == "127.0.0.1:9000"
    assert "--rest_api_port=9000" in server.command
    assert "--model_base_path=/opt/ml/model/cifar10" in server.command
    binary.unlink()
    own = supervisor.choose_servers(MODEL, tmp_path)
    assert own[0].nginx_address == f"unix:{tmp_path}/model-0.sock"
    monkeypatch.setenv("SAGEMAKER_MODEL_SERVER_WORKERS", "3")
    assert len(supervisor.choose_servers(MODEL, tmp_path)) == 3


def test_the_port_is_sagemakers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAGEMAKER_BIND_TO_PORT", raising=False)
    assert supervisor.listen_port() == 8080
    monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", "8090")
    assert supervisor.listen_port() == 8090
    for wrong in ("http", "0", "70000"):
        monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", wrong)
        with pytest.raises(supervisor.SupervisorError, match="it must be a port number"):
            supervisor.listen_port()


def test_nginx_conf_is_filled_in_completely() -> None:
    template = (CONTAINER / "cifar10" / "nginx.conf").read_text()
    servers = [supervisor.ModelServer("x", [], "/tmp/a.sock"), supervisor.ModelServer("x", [], 8501)]

    config = supervisor.render_nginx(template, servers, "cifar10", 8090, Path("/tmp/run"))

    assert not re.search(r"@[A-Z]+@", config.replace("@NAMES@", ""))
    assert "listen 8090 " in config
    assert "server unix:/tmp/a.sock max_fails=0;" in config
    assert "server 127.0.0.1:8501 max_fails=0;" in config
    assert "proxy_pass http://model_server/v1/models/cifar10:predict;" in config


def test_the_metric_expressions_match_the_lines_that_training_prints() -> None:
    metrics = tomllib.loads((CONTAINER / "byoc.toml").read_text())["train"]["metrics"]
    log = (
        "step=10 loss=2.3079 accuracy=0.1953 learning_rate=0.216000\n"
        "train_steps=100 train_seconds=16.5 images_per_second=777\n"
        "eval_loss=1.1351 eval_accuracy=0.5880 eval_seconds=2.5\n"
    )

    assert {name: re.findall(expression, log) for name, expression in metrics.items()} == {
        "loss": ["2.3079"],
        "accuracy": ["0.1953"],
        "learning_rate": ["0.216000"],
        "eval_loss": ["1.1351"],
        "eval_accuracy": ["0.5880"],
        "images_per_second": ["777"],
    }

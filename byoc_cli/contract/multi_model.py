"""Many models behind one container: the API that the platform asks it through (H-35 to H-40). Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from byoc_cli.contract import paths
from byoc_cli.contract.capabilities import CLAIMED, MULTI_MODELS

ENVIRONMENT: Mapping[str, str] = {"SAGEMAKER_MULTI_MODEL": "true"}  # H-35
MODELS_PATH = "/models"
LOAD_TIMEOUT_SECONDS = 360.0  # a call waits 60 s at most, the load goes on

LOADED_ALREADY = 409
NOT_LOADED = 404
NO_MEMORY = 507


def capable(labels: Mapping[str, str]) -> bool:
    """Whether an image says that it can serve many models."""
    return labels.get(MULTI_MODELS) == CLAIMED


def not_capable(image: str) -> str:
    """What CreateModel says of one that does not."""
    return f"Your Ecr Image {image} does not contain required {MULTI_MODELS}={CLAIMED} Docker label(s)."


def name_of(target: str) -> str:
    """Return the name by which the container knows a TargetModel: an opaque hash, the same each time (H-40)."""
    return hashlib.sha256(target.encode(errors="surrogateescape")).hexdigest()[:32]


def load_body(name: str) -> bytes:
    """What is posted to load a model (H-36)."""
    return json.dumps({"model_name": name, "url": paths.multi_model(name)}).encode()


def model_path(name: str) -> str:
    """Where a model is asked for and unloaded (H-38, H-39)."""
    return f"{MODELS_PATH}/{name}"


def invoke_path(name: str) -> str:
    """Where a model is invoked (H-40)."""
    return f"{model_path(name)}/invoke"


def list_path(token: str = "") -> str:
    """Where a page of the models that are loaded is (H-37)."""
    return f"{MODELS_PATH}?next_page_token={token}" if token else MODELS_PATH


def page(body: bytes) -> tuple[list[str], str]:
    """Read a page of the list: (names, the next page's token or "") (H-37).

    Raises:
        ValueError: it has another shape.

    """
    try:
        content = json.loads(body)
        names = [str(model["modelName"]) for model in content["models"]]
        return names, str(content.get("nextPageToken") or "")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError('it is not {"models": [{"modelName": …, "modelUrl": …}]}') from error

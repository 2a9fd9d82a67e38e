"""Where SageMaker puts things inside a container (T-11, H-03). The one place that spells /opt/ml."""

ROOT = "/opt/ml"
INPUT = "/opt/ml/input"
MODEL = "/opt/ml/model"
MODELS = "/opt/ml/models"  # H-35
OUTPUT = "/opt/ml/output"
CHECKPOINTS = "/opt/ml/checkpoints"

CONFIG = "/opt/ml/input/config"
DATA = "/opt/ml/input/data"
OUTPUT_DATA = "/opt/ml/output/data"

HYPERPARAMETERS_FILE = "hyperparameters.json"
RESOURCE_CONFIG_FILE = "resourceconfig.json"  # all lower case on disk (T-14)
INPUT_DATA_CONFIG_FILE = "inputdataconfig.json"
# What no document names (T-21); the last one only where checkpoints are configured.
INIT_CONFIG_FILE = "init-config.json"
JOB_CONFIG_FILE = "trainingjobconfig.json"
UPSTREAM_CONFIG_FILE = "upstreamoutputdataconfig.json"
METRICS_CONFIG_FILE = "metric-definition-regex.json"
CHECKPOINT_CONFIG_FILE = "checkpointconfig.json"
FAILURE_FILE = "failure"  # directly in /opt/ml/output, no extension (T-34)

PLATFORM = (INPUT, MODEL, MODELS, OUTPUT, CHECKPOINTS)
"""What SageMaker fills: nobody else's files are seen there."""


def of_platform(path: str) -> bool:
    """Whether a path is in a folder that SageMaker fills."""
    return any(path == each or path.startswith(f"{each}/") for each in PLATFORM)


def mount_problem(target: str) -> str:
    """Say why nothing of the user's can be mounted at a path of the container; "" where it can."""
    path = target.rstrip("/")
    if not target.startswith("/") or "/../" in f"{target}/" or "//" in target:
        return f"'{target}' is not an absolute path"
    if of_platform(path):
        return f"'{target}' is SageMaker's own"
    if not path or any(each.startswith(f"{path}/") for each in PLATFORM):
        return f"'{target}' would hide {ROOT}, which is SageMaker's"
    return ""


def multi_model(name: str) -> str:
    """Where a model of many is, by the name that the container knows it by (H-35)."""
    return f"{MODELS}/{name}/model"


def channel(name: str) -> str:
    """Where the data of a File-mode channel is (T-58)."""
    return f"{DATA}/{name}"


def manifest(name: str) -> str:
    """Name the file beside a File channel that lists its objects (T-22)."""
    return f"{name}-manifest"


def fifo(name: str, epoch: int) -> str:
    """Where a Pipe channel is read in an epoch, counted from 0 (T-61)."""
    return f"{DATA}/{name}_{epoch}"

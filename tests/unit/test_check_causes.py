"""Why a training failed, from its log."""

from __future__ import annotations

import pytest

from byoc_cli.check.training.causes import (
    CHANNEL,
    ELSEWHERE,
    GPU,
    ITSELF,
    Cause,
    cause,
    complaint,
    missing_variable,
    nothing_to_do,
    of_what_was_not_given,
    refusal,
)
from byoc_cli.check.training.ran import Ran
from byoc_cli.check.training.sources import longer, named


def found(log: str, *, strings: bool = False, code: int = 1, failure: str | None = None) -> str:
    told = cause(Ran(code, log=log, failure=failure), channels=["training"], strings=strings)
    return told.id if told else ""


@pytest.mark.parametrize(
    ("id_", "line"),
    [
        ("T-11", "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/output/tensorboard/events'"),
        ("T-14", "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/input/config/resourceConfig.json'"),
        ("T-14", "cat: /opt/ml/input/config/resourceConfig.json: No such file or directory"),
        (
            "T-21",
            "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/input/config/checkpointconfig.json'",
        ),
        ("T-22", "NotADirectoryError: [Errno 20] Not a directory: '/opt/ml/input/data/training-manifest'"),
        ("T-22", "ls: /opt/ml/input/data/training-manifest/: Not a directory"),
        ("", "['/opt/ml/input/data/training-manifest', '/opt/ml/input/data/training']"),
        ("T-29", "KeyError: 'SM_MODEL_DIR'"),
        ("T-29", "/usr/local/bin/train: line 3: SM_CHANNEL_TRAINING: unbound variable"),
        ("T-29", "train: 3: SM_HOSTS: parameter not set"),
        ("T-59", "OSError: [Errno 30] Read-only file system: '/opt/ml/input/data/training/cache.bin'"),
        ("T-59", "touch: cannot touch '/opt/ml/input/data/training/x': Read-only file system"),
        ("T-60", "PermissionError: [Errno 13] Permission denied: '/opt/ml/model/model.pkl'"),
        ("T-60", "sh: 1: cannot create /opt/ml/output/failure: Permission denied"),
        ("T-74", "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>"),
        ("T-74", "curl: (6) Could not resolve host: example.com"),
        ("T-74", "ERROR: No matching distribution found for pandas"),
        ("T-74", "botocore.exceptions.NoCredentialsError: Unable to locate credentials"),
        (
            "T-76",
            "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory",
        ),
        (GPU, "RuntimeError: Found no NVIDIA driver on your system."),
        (CHANNEL, "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/input/data/train/a.csv'"),
        (ITSELF, "ModuleNotFoundError: No module named 'numpy'"),
        (ITSELF, "python3: can't open file '/opt/train.py': [Errno 2] No such file or directory"),
        (GPU, "RuntimeError: No CUDA GPUs are available"),
        (ITSELF, "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory"),
        ("T-11", "KeyError: 'ContentType'"),
        ("T-11", "KeyError: 'currentHost'"),
        ("T-11", "KeyError: 'S3Uri'"),
        ("T-11", "ValueError: 'ip-10-0-119-27.ec2.internal' is not in list"),
        ("T-11", "OSError: no interface with this name"),
        ("T-11", 'Device "eth1" does not exist.'),
        ("", "KeyError: 'hosts'"),
        ("T-22", "KeyError: 'training-manifest'"),
        (ITSELF, "/usr/local/bin/python3: No module named trainer"),
        (ITSELF, "/opt/env.sh: line 2: cd: $'/opt\\r': No such file or directory"),
        ("T-11", "TypeError: Config.__init__() got an unexpected keyword argument 'current_instance_type'"),
        ("", "sagemaker-training-toolkit INFO     No GPUs detected (normal if no gpus installed)"),
        (
            "",
            "Could not load dynamic library 'libcuda.so.1'; dlerror: libcuda.so.1: cannot open shared object file",
        ),
        ("", "cuda_driver.cc:271] failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected"),
        ("", "ValueError: could not convert string to float: 'label'"),
        ("", "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/input/data/training/train.tfrecords'"),
        ("", "KeyError: 'label'"),
    ],
)
def test_a_line_tells_the_cause(id_: str, line: str) -> None:
    assert found(f"starting\n{line}\nbye") == id_
    assert found("", failure=line) == id_


@pytest.mark.parametrize(
    "line",
    [
        "TypeError: 'str' object cannot be interpreted as an integer",
        "TypeError: '<' not supported between instances of 'int' and 'str'",
        "TypeError: can't multiply sequence by non-int of type 'float'",
        "TypeError: unsupported operand type(s) for -: 'str' and 'int'",
        "TypeError: must be real number, not str",
        "InvalidParameterError: The 'max_leaf_nodes' parameter must be an int in the range [2, inf). Got '5' instead.",
        "json: cannot unmarshal string into Go struct field Params.epochs of type int",
        'Error: invalid type: string "5", expected i32 at line 1 column 12',
        "Error in 1:n : non-numeric argument to binary operator",
        "TypeError: not all arguments converted during string formatting",
        "TypeError: '<=' not supported between instances of 'numpy.float64' and 'str'",
        "ValueError: Unknown format code 'f' for object of type 'str'",
        "TypeError: %d format: a real number is required, not str",
    ],
)
def test_t12_numbers_were_expected(line: str) -> None:
    assert found(line, strings=True) == "T-12"
    assert found(line) == "", "without hyperparameters it is something else"


def test_t12_comes_before_what_a_toolkit_says_of_a_machine_without_gpu() -> None:
    log = "No GPUs detected (normal if no gpus installed)\nTypeError: 'str' object cannot be interpreted as an integer"
    assert found(log, strings=True) == "T-12"


def test_t29_what_the_toolkit_makes_of_a_channel_that_was_not_given() -> None:
    told = of_what_was_not_given(Cause("T-29", "KeyError: 'SM_CHANNEL_TRAIN'", "SM_CHANNEL_TRAIN"))
    assert told
    assert (told.id, told.name) == (CHANNEL, "train")
    assert of_what_was_not_given(Cause("T-29", "KeyError: 'SM_HP_EPOCHS'", "SM_HP_EPOCHS")) is None
    other = Cause("T-29", "KeyError: 'SM_MODEL_DIR'", "SM_MODEL_DIR")
    assert of_what_was_not_given(other) == other


def test_a_file_that_is_no_matter_of_opt_ml_has_the_last_word() -> None:
    line = "FileNotFoundError: [Errno 2] No such file or directory: '/opt/program/config.yaml'"
    assert found(f"starting\n{line}") == ELSEWHERE
    assert found(f"{line}\nwent on without") == ""
    assert found("cat: /proc/driver/nvidia/version: No such file or directory") == ""
    assert found("FileNotFoundError: [Errno 2] No such file or directory: 'train.csv'") == ""


def test_t76_killed_by_sigbus() -> None:
    assert found("", code=135) == "T-76"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            "Traceback (most recent call last):\n  File\njson.decoder.JSONDecodeError: Expecting value",
            "Expecting value",
        ),
        ("panic: invalid character", "panic"),
        ("jq: parse error: Unfinished JSON term", "Unfinished"),
        ("epoch=1 Error=0.3\nloss: 1", ""),
        ("a warning: the RuntimeError class is renamed", ""),
    ],
)
def test_a_complaint(log: str, said: str) -> None:
    assert said in complaint(log)
    assert bool(complaint(log)) == bool(said)


def test_t29_a_variable_that_was_taken_for_granted() -> None:
    log = "TypeError: expected str, bytes or os.PathLike object, not NoneType"
    told = missing_variable(log, 'Path(os.environ.get("SM_MODEL_DIR"))')
    assert told
    assert (told.id, told.name) == ("T-29", "SM_MODEL_DIR")
    assert missing_variable(log, 'Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))') is None
    assert missing_variable("ValueError: x", 'os.environ.get("SM_MODEL_DIR")') is None


def test_hyperparameters_that_a_source_names() -> None:
    source = """
    epochs = int(params.get("epochs", 10)); rate = float(hyperparameters.get('learning-rate', "0.1"))
    port = int(os.environ.get("PORT", 8080)); depth = hp["max_depth"]
    if "seed" in hyperparameters: ...  # hp.get("comment", 1)
    """
    assert named(source) == {"epochs": "10", "learning-rate": "0.1", "seed": "1", "max_depth": "1"}


def test_hyperparameters_by_what_the_file_was_read_into() -> None:
    assert named('config = read("hyperparameters.json")\nrange(config["epochs"])') == {"epochs": "1"}
    source = 'with open("/opt/ml/input/config/hyperparameters.json") as file:\n    cfg = json.load(file)\ncfg["lr"]'
    assert named(source) == {"lr": "1"}
    assert named('config = json.load(open("other.json"))\nconfig["epochs"]') == {}


@pytest.mark.parametrize(
    "source",
    [
        'hp = json.load(open("/opt/ml/input/config/hyperparameters.json"))\nhp.pop("epochs", 3)',
        'FILE = "/opt/ml/input/config/hyperparameters.json"\ndef hp(name, default): ...\nhp("epochs", 3)',
        'DEFAULTS = {"epochs": 3, "name": "a"}\ncfg = {**DEFAULTS, **json.load(open(".../hyperparameters.json"))}',
        (
            "@dataclass\nclass Settings:\n    epochs: int = 3\n    name: str = ''\n\n"
            'Settings(**json.load(open("hyperparameters.json")))'
        ),
    ],
)
def test_hyperparameters_with_their_defaults(source: str) -> None:
    assert named(source) == {"epochs": "3"}


def test_hyperparameters_by_a_name_of_the_file() -> None:
    source = 'PATH = "/opt/ml/input/config/hyperparameters.json"\ncfg = json.load(open(PATH))\nn = cfg["epochs"]'
    assert named(source) == {"epochs": "1"}


def test_hyperparameters_that_a_script_of_the_toolkit_takes() -> None:
    source = """
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument('--learning-rate', type=float, default=1e-3, help="rate")
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    """
    assert named(source, arguments=True) == {"epochs": "10", "learning-rate": "1e-3"}
    assert named(source) == {}


def test_what_a_good_run_says_too_is_no_complaint() -> None:
    assert complaint("ValueError: ignored", "ValueError: ignored") == ""


def test_a_training_is_made_longer_by_what_counts_its_rounds() -> None:
    assert longer({}, {"epochs": "1", "lr": "0.1"}) == {"epochs": "10000000"}
    assert longer({"train-steps": "5", "a": "b"}, {}) == {"train-steps": "10000000", "a": "b"}
    assert longer({}, {"lr": "0.1"}) == {}


@pytest.mark.parametrize(
    "line",
    [
        "Exception: Train is not implemented.",
        "Exception: Unrecognized command train, full args = {}",
        "app: error: argument command: invalid choice: 'train' (choose from 'serve')",
        "Error: No such command 'train'.",
        "Error: Got unexpected extra argument (train)",
        "@ entrypoint -> did not recognize option 'train'",
        "training is not supported by this image",
        "unknown command: train",
    ],
)
def test_a_word_that_is_refused(line: str) -> None:
    log = f'Traceback:\n  raise Exception("Train is not implemented.")\n{line}\nbye'
    assert refusal(Ran(1, log=log), "train") == line
    assert refusal(Ran(0, log=log), "train") == ""


@pytest.mark.parametrize(
    "line",
    [
        "KeyError: 'train'",
        "ValueError: Unknown split 'train'",
        "ValueError: invalid argument train data",
        "FileNotFoundError: No such file or directory: '/opt/ml/input/data/train'",
        "the file train.csv is not supported",
        "usage: train [-h]\ntrain: error: unrecognized arguments: --epochs",
    ],
)
def test_a_failure_that_refuses_no_word(line: str) -> None:
    assert refusal(Ran(1, log=line), "train") == ""


def test_nothing_to_train_on() -> None:
    for line in (
        "no training data found",
        "pytorch cannot find any GPUs !",
        "Found 0 images belonging to 0 classes",
        "There are no files in /opt/ml/input/data/train",
    ):
        assert nothing_to_do(Ran(log=f"start\n{line}")) == line
    for line in ("epoch 1 of 10", "no errors", "loaded 24 rows", "model saved to file"):
        assert nothing_to_do(Ran(log=line)) == ""


def test_a_line_of_source_is_no_cause() -> None:
    log = "  for res in getaddrinfo(host, port):\nsocket.gaierror: [Errno -3] Temporary failure in name resolution"
    told = cause(Ran(1, log=log))
    assert told
    assert told.line.startswith("socket.gaierror")

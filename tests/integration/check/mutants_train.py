"""Mutants of `train`: what it does shows only when it runs."""

from __future__ import annotations

from byoc_cli.check.model import Result
from tests.integration.check.images import File
from tests.integration.check.mutant import COPY_TRAIN, TRAIN, Mutant, edited

_SAVED = '    save(state) if hosts["current_host"] == sorted(hosts["hosts"])[0] else None\n'
_FAILED = (
    '    (ML / "output" / "failure").write_text(f"{type(error).__name__}: {error}\\n\\n{traceback.format_exc()}")\n'
)
_STARTED = "    hyperparameters = config("
_HANDLER = "signal.signal(signal.SIGTERM, lambda *_: (save(state), sys.exit(0)))"
_HOSTS = '    hosts = config("resourceconfig.json")\n'


def _train(name: str, change: str, caught: dict[str, Result], old: str, new: str) -> Mutant:
    return Mutant(name, change, caught, COPY_TRAIN, {"train": edited(TRAIN, old, new)})


def _first(name: str, change: str, caught: dict[str, Result], code: str) -> Mutant:
    """Do something before all else."""
    return _train(name, change, caught, _STARTED, f"    {code}\n{_STARTED}")


def _behind_shell(name: str, change: str, caught: dict[str, Result], script: bytes) -> Mutant:
    """Let a script be `train`, and start the good one as /opt/train.py."""
    lines = ["RUN mv /usr/local/bin/train /opt/train.py", *COPY_TRAIN]
    return Mutant(name, change, caught, lines, {"train": File(script)})


TRAIN_MUTANTS = (
    # -- what it finds -----------------------------------------------------------------------------------------------
    _train(
        "numbers",
        "a hyperparameter is taken for a number",
        {"T-12": "fail"},
        'int(hyperparameters.get("epochs", "1"))',
        'hyperparameters.get("epochs", 1)',
    ),
    _train(
        "old-spelling",
        "reads resourceConfig.json",
        {"T-14": "fail"},
        'config("resourceconfig.json")',
        'config("resourceConfig.json")',
    ),
    _train(
        "old-spelling-caught",
        "reads resourceConfig.json, and goes on without it",
        {"T-14": "warn"},
        _HOSTS,
        '    try:\n        hosts = config("resourceConfig.json")\n    except OSError:\n'
        '        hosts = {"current_host": "algo-1", "hosts": ["algo-1"]}\n',
    ),
    _first(
        "needs-folder", "writes to a folder that is not there", {"T-11": "fail"}, 'open("/opt/ml/output/tb/log", "w")'
    ),
    _first(
        "needs-content-type",
        "takes ContentType in inputdataconfig.json for granted",
        {"T-11": "fail"},
        '[channel["ContentType"] for channel in config("inputdataconfig.json").values()]',
    ),
    _first("undocumented", "reads checkpointconfig.json", {"T-21": "warn"}, 'config("checkpointconfig.json")'),
    _first(
        "manifest",
        "takes all in /opt/ml/input/data for folders",
        {"T-22": "warn"},
        'print([list(each.iterdir()) for each in (ML / "input" / "data").iterdir()], flush=True)',
    ),
    _first(
        "toolkit-hosts",
        "reads SM_HOSTS, by another name than os.environ",
        {"T-29": "fail"},
        'import os; environ = dict(os.environ); environ["SM_HOSTS"]',
    ),
    # -- how it ends -------------------------------------------------------------------------------------------------
    _train("exit-0", "exit code 0 after an exception", {"T-31": "fail"}, "    sys.exit(1)", "    sys.exit(0)"),
    _train(
        "exit-0-traceback",
        "exit code 0 after a traceback, no failure file",
        {"T-31": "fail"},
        f"{_FAILED}    traceback.print_exc()\n    sys.exit(1)",
        "    traceback.print_exc()",
    ),
    _train(
        "exit-0-silent",
        "exit code 0 without a model, and no word of an exception",
        {"T-31": "fail"},
        f"{_FAILED}    traceback.print_exc()\n    sys.exit(1)",
        '    print("that is all", flush=True)',
    ),
    _train(
        "exit-1-well",
        "exit code 3 when all went well",
        {"T-31": "fail"},
        "    train()\nexcept",
        "    train()\n    sys.exit(3)\nexcept",
    ),
    _behind_shell(
        "exit-0-shell",
        "a shell script without `set -e`",
        {"T-31": "fail"},
        b"#!/bin/sh\ntrap 'kill $!; wait' TERM\n"
        b"sed -i '/failure/d' /opt/train.py\npython3 /opt/train.py & wait\necho done\n",
    ),
    Mutant(
        "exit-0-data",
        "reads no hyperparameters, and exit code 0 after an exception",
        {"T-31": "fail"},
        COPY_TRAIN,
        {
            "train": File(
                TRAIN.replace(b'config("hyperparameters.json")', b"{}").replace(b"    sys.exit(1)", b"    sys.exit(0)")
            )
        },
    ),
    _train(
        "numbers-needed",
        "a hyperparameter that it needs is taken for a number",
        {"T-12": "fail"},
        'int(hyperparameters.get("epochs", "1"))',
        'hyperparameters["epochs"]',
    ),
    _train(
        "toolkit-default",
        "takes SM_MODEL_DIR for granted, by os.environ.get",
        {"T-29": "fail"},
        'MODEL = ML / "model"',
        'import os\nMODEL = pathlib.Path(os.environ.get("SM_MODEL_DIR"))',
    ),
    _first("no-module", "a module that is not there", {"T-31": "fail"}, "import no_such_module"),
    _train("no-failure-file", "no failure file", {"T-32": "warn"}, _FAILED, ""),
    _train(
        "failure-traceback",
        "a long traceback comes first in the failure file",
        {"T-32": "warn"},
        'f"{type(error).__name__}: {error}\\n\\n{traceback.format_exc()}"',
        '"Traceback of the training job\\n" + "  at some line\\n" * 80 + repr(error)',
    ),
    _train("failure-txt", "failure.txt", {"T-34": "warn"}, '"output" / "failure"', '"output" / "failure.txt"'),
    _train(
        "failure-in-data", "failure in data", {"T-34": "warn"}, '"output" / "failure"', '"output" / "data" / "failure"'
    ),
    _train("no-handler", "no handler of SIGTERM", {"T-40": "warn"}, _HANDLER, "pass"),
    _train(
        "ignores-sigterm",
        "SIGTERM is ignored",
        {"T-40": "warn"},
        _HANDLER,
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    ),
    _train(
        "deaf-handler",
        "a handler that ends nothing",
        {"T-40": "warn"},
        _HANDLER,
        "signal.signal(signal.SIGTERM, lambda *_: None)",
    ),
    _behind_shell(
        "shell-without-exec",
        "a shell script that does not exec",
        {"T-40": "warn"},
        b"#!/bin/sh\nset -e\npython3 /opt/train.py\necho done\n",
    ),
    _train("no-save", "a handler that saves nothing", {"T-41": "warn"}, "(save(state), sys.exit(0))", "sys.exit(0)"),
    _train(
        "checkpoint-unread",
        "fails with a checkpoint",
        {"T-52": "warn"},
        "json.loads(CHECKPOINT.read_text())",
        "int(CHECKPOINT.read_text())",
    ),
    _train(
        "checkpoint-ignored",
        "begins anew where a checkpoint is",
        {"T-52": "warn"},
        'json.loads(CHECKPOINT.read_text()) if CHECKPOINT.is_file() else {"epoch": 0}',
        '{"epoch": 0}',
    ),
    # -- what it leaves ----------------------------------------------------------------------------------------------
    _train("no-model", "no model", {"T-45": "fail"}, _SAVED, ""),
    _train(
        "model-elsewhere",
        "the model goes to /opt/program/model",
        {"T-45": "fail"},
        'ML / "model"',
        'pathlib.Path("/opt/program/model")',
    ),
    _first(
        "lost-output",
        "writes beside /opt/ml/output/data",
        {"T-46": "warn"},
        '(ML / "output" / "report.csv").write_text("1")',
    ),
    _train(
        "symlink",
        "a symbolic link in the model",
        {"T-50": "fail"},
        _SAVED,
        f'{_SAVED}    (MODEL / "latest").symlink_to("model.json")\n',
    ),
    _train(
        "symlink-outside",
        "a symbolic link that leads out of the model",
        {"T-50": "fail"},
        _SAVED,
        f'{_SAVED}    (MODEL / "weights").symlink_to("/usr/lib/weights")\n',
    ),
    # -- where it runs -----------------------------------------------------------------------------------------------
    _first(
        "writes-data",
        "writes into the channel",
        {"T-59": "warn"},
        '(ML / "input" / "data" / "training" / "cache").write_text("1")',
    ),
    _first("drops-root", "becomes nobody", {"T-60": "fail"}, "import os; os.setuid(65534)"),
    _first(
        "silent",
        "prints nothing",
        {"T-69": "warn"},
        "import builtins; builtins.print = lambda *_, **__: None",
    ),
    Mutant(
        "buffered",
        "its output is buffered until it ends",
        {"T-69": "warn"},
        ["ENV PYTHONUNBUFFERED=", *COPY_TRAIN],
        {
            "train": File(
                TRAIN.replace(b", flush=True", b"").replace(b"time.sleep(pause)", b"print(1); print(2); time.sleep(5)")
            )
        },
    ),
    _first(
        "needs-network",
        "installs something at the start",
        {"T-74": "warn"},
        'import urllib.request; urllib.request.urlopen("https://packages.example/simple/")',
    ),
    _first(
        "shared-memory",
        "needs more than 64 MiB of /dev/shm",
        {"T-76": "warn"},
        'import mmap; file = open("/dev/shm/a", "wb+"); file.truncate(80 << 20); '
        "mmap.mmap(file.fileno(), 80 << 20).write(bytes(80 << 20))",
    ),
    # -- two hosts ---------------------------------------------------------------------------------------------------
    _train(
        "own-name",
        "takes the machine's name for the host's",
        {"T-71": "fail"},
        _HOSTS,
        f'{_HOSTS}    import socket\n    len(hosts["hosts"]) > 1 and hosts["hosts"].index(socket.gethostname())\n',
    ),
    _train(
        "same-name",
        "each host writes another model of the same name",
        {"T-47": "warn"},
        _SAVED,
        '    state["host"] = hosts["current_host"]\n    save(state)\n    CHECKPOINT.unlink()\n',
    ),
    _train(
        "same-checkpoint",
        "each host writes another checkpoint of the same name",
        {"T-53": "warn"},
        _SAVED,
        f'{_SAVED}    CHECKPOINT.write_text(json.dumps({{**state, "host": hosts["current_host"]}}))\n',
    ),
    _train(
        "needs-data",
        "a host without data fails",
        {"T-57": "warn"},
        "sum(numbers) / len(numbers) if numbers else 0.0",
        "sum(numbers) / len(numbers)",
    ),
)

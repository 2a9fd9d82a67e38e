"""Mutants whose fault is deeper: in a library of its own, at one end of a body, in another family of addresses."""

from __future__ import annotations

from dataclasses import replace

from tests.integration.check.images import File
from tests.integration.check.mutant import COPY_TRAIN, SERVE, TRAIN, Mutant, edited

_COPY_SERVE = ["COPY serve /usr/local/bin/serve"]
_BODY = '        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))\n'
_FIRST = "stopping = threading.Event()\n"
_AT_FAULT = TRAIN[TRAIN.index(b"    # The cause first") :].decode()
_SETTINGS = b"""import json

def load():
    given = json.load(open("/opt/ml/input/config/hyperparameters.json"))
    return given.pop("epochs", 1)
"""
_OTHER_WORDS = b"""import argparse

parse = argparse.ArgumentParser()
parse.add_argument("command", choices=["fit", "predict"])
parse.parse_args()
"""

OTHER_MUTANTS = (
    Mutant(
        "numbers-in-library",
        "a hyperparameter is taken for a number, three folders deep",
        {"T-12": "fail"},
        ["COPY settings.py /opt/program/trainer/config/settings.py", *COPY_TRAIN],
        {
            "settings.py": File(_SETTINGS),
            "train": edited(
                edited(TRAIN, '= config("hyperparameters.json")', "= {}").content,
                'int(hyperparameters.get("epochs", "1"))',
                '(sys.path.insert(0, "/opt/program"), __import__("trainer.config.settings"))[1].config.settings.load()',
            ),
        },
    ),
    Mutant(
        "other-words",
        "ENTRYPOINT knows neither `train` nor `serve`",
        {"H-01": "fail"},
        ["COPY entry.py /opt/entry.py", 'ENTRYPOINT ["python3", "/opt/entry.py"]'],
        {"entry.py": File(_OTHER_WORDS)},
    ),
    Mutant(
        "exit-0-model",
        "exit code 0 after a traceback, with a model",
        {"T-31": "warn"},
        COPY_TRAIN,
        {"train": edited(TRAIN, _AT_FAULT, '    traceback.print_exc()\n    save({"mean": 0.0})\n')},
    ),
    Mutant(
        "model-of-nothing",
        "the model's file is empty",
        {"T-45": "fail"},
        COPY_TRAIN,
        {"train": edited(TRAIN, ".write_text(json.dumps(state))\n    if", ".touch()\n    if")},
    ),
    Mutant(
        "ipv6-only",
        "listens on port 8080 of IPv6 only",
        {"H-12": "fail"},
        _COPY_SERVE,
        {
            "serve": edited(
                edited(SERVE, '("0.0.0.0", PORT)', '("::", PORT)').content,
                "    request_queue_size = 128\n",
                "    request_queue_size = 128\n    address_family = 10\n\n"
                "    def server_bind(self):\n        self.socket.setsockopt(41, 26, 1)  # only IPv6\n"
                "        super().server_bind()\n",
            )
        },
    ),
    Mutant(
        "reads-the-beginning",
        "reads 64 KiB of a body",
        {"H-21": "fail"},
        _COPY_SERVE,
        {
            "serve": edited(
                edited(SERVE, _BODY, f"{_BODY}        body = body[: 1 << 16]\n").content,
                '        numbers = [float(line.split(",")[0])',
                "        return self.answer(415)\n        numbers = [float(line.split(',')[0])",
            )
        },
    ),
    Mutant(
        "dies-empty",
        "dies of an empty body",
        {"H-18": "warn"},
        _COPY_SERVE,
        {
            "serve": edited(
                SERVE, _BODY, f'{_BODY}        os._exit(1) if not body and self.path == "/invocations" else 0\n'
            )
        },
    ),
    Mutant(
        "short-attributes",
        "takes custom attributes of 256 characters",
        {"H-16": "warn"},
        _COPY_SERVE,
        {
            "serve": edited(
                SERVE,
                _BODY,
                f"{_BODY}        if len(self.headers.get('X-Amzn-SageMaker-Custom-Attributes') or '') > 256:\n"
                "            return self.answer(400)\n",
            )
        },
    ),
    replace(
        Mutant(
            "port-ends",
            "the label says that it takes another port, and it ends with an error there",
            {"H-31": "fail"},
            _COPY_SERVE,
            {"serve": edited(SERVE, _FIRST, f'{_FIRST}assert PORT == 8080, "one port only"\n')},
        ),
        timeout=30,
    ),
)

"""Mutants of `serve`: what it does shows only when it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from byoc_cli.check.model import Result
from tests.integration.check.images import File
from tests.integration.check.mutant import SERVE, Mutant, edited

COPY_SERVE = ["COPY serve /usr/local/bin/serve"]
_LABEL = "LABEL com.amazonaws.sagemaker.capabilities"
_FIRST = "stopping = threading.Event()\n"
_READ = '        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))\n'
_PING = 'self.answer(200 if self.path == "/ping" else 404)'
_HANDLER = "signal.signal(signal.SIGTERM, stop)\n"
_REFUSED = "self.answer(400, json.dumps"


def _serve(
    name: str, change: str, caught: Mapping[str, Result], old: str, new: str, lines: Sequence[str] = ()
) -> Mutant:
    return Mutant(name, change, caught, [*COPY_SERVE, *lines], {"serve": edited(SERVE, old, new)})


def _first(name: str, change: str, caught: Mapping[str, Result], code: str, timeout: float = 60.0) -> Mutant:
    """Do something before it listens."""
    return replace(_serve(name, change, caught, _FIRST, f"{code}\n{_FIRST}"), timeout=timeout)


def _at_each(name: str, change: str, caught: Mapping[str, Result], code: str) -> Mutant:
    """Do something with each request that is posted, once it is read."""
    return _serve(name, change, caught, _READ, f"{_READ}        {code}\n")


def _one_thread(name: str, change: str, caught: Mapping[str, Result], seconds: float) -> Mutant:
    serve = edited(SERVE, "ThreadingHTTPServer", "HTTPServer").content
    late = edited(serve, "mean = models[name]", f"__import__('time').sleep({seconds})\n        mean = models[name]")
    return Mutant(name, change, caught, COPY_SERVE, {"serve": late})


SERVE_MUTANTS = (
    # -- the start ---------------------------------------------------------------------------------------------------
    _first("serve-exits", "`serve` ends with an error", {"H-01": "fail"}, 'raise SystemExit("no such model")'),
    _first("serve-daemon", "`serve` goes to the background", {"H-01": "fail"}, "os.fork() and os._exit(0)"),
    _first("serve-needs-module", "a package is missing", {"H-01": "fail"}, "import a_package_that_is_not_there"),
    _serve("loopback", "binds 127.0.0.1", {"H-12": "fail"}, '("0.0.0.0", PORT)', '("127.0.0.1", PORT)'),
    _serve("wrong-port", "listens on port 5000", {"H-12": "fail"}, '"8080"', '"5000"'),
    _first("slow-load", "is ready 10 minutes after its start", {"H-11": "fail"}, "import time; time.sleep(600)", 8),
    _first(
        "slow-busy-load",
        "loads for 10 minutes",
        {"H-11": "warn"},
        "import time\nwhile time.sleep(0.001) is None: sum(range(100000))",
        8,
    ),
    _first(
        "writes-model",
        "writes to the model's folder at the start",
        {"H-04": "fail"},
        'open("/opt/ml/model/cache", "w")',
    ),
    _at_each(
        "writes-model-late",
        "writes to the model's folder with each request",
        {"H-04": "fail"},
        'open("/opt/ml/model/cache", "w") if self.path == "/invocations" else None',
    ),
    _first(
        "writes-model-caught",
        "writes to the model's folder, and goes on without",
        {"H-04": "warn"},
        'try:\n    open("/opt/ml/model/cache", "w")\nexcept OSError as error:\n    print(error, flush=True)',
    ),
    _first(
        "serve-needs-network",
        "downloads at the start",
        {"H-26": "warn"},
        'import urllib.request; urllib.request.urlopen("http://models.example.com/weights")',
    ),
    replace(
        _at_each(
            "request-needs-network",
            "downloads with each request",
            {"H-26": "warn"},
            'import urllib.request; urllib.request.urlopen("http://models.example.com/weights")',
        ),
        timeout=8,
    ),
    _serve(
        "other-name",
        "reads another file than `train` writes",
        {"T-51": "warn"},
        "MEAN = load(STATE)",
        'MEAN = json.loads(pathlib.Path("/opt/ml/model/weights.json").read_text())["mean"]',
    ),
    # -- /ping -------------------------------------------------------------------------------------------------------
    _serve("ping-404", "/ping is 404", {"H-10": "fail"}, _PING, "self.answer(404)"),
    _serve("ping-500", "/ping is 500", {"H-10": "fail"}, _PING, "self.answer(500)"),
    _serve("ping-late", "/ping takes 3 s", {"H-10": "fail"}, _PING, f"__import__('time').sleep(3); {_PING}"),
    _one_thread("ping-late-busy", "one thread, and a request takes 2.5 s", {"H-10": "fail"}, 2.5),
    _one_thread("ping-held", "one thread, and a request takes 0.4 s", {"H-10": "warn"}, 0.4),
    _serve(
        "accepts-late",
        "accepts one connection a second",
        {"H-13": "fail"},
        "    request_queue_size = 128\n",
        "    request_queue_size = 0\n\n    def get_request(self):\n        __import__('time').sleep(1)\n"
        "        return super().get_request()\n",
    ),
    # -- requests ----------------------------------------------------------------------------------------------------
    _serve(
        "invocations-404",
        "answers to /invoke only",
        {"H-15": "fail"},
        'elif self.path != "/invocations"',
        'elif self.path != "/invoke"',
    ),
    _at_each(
        "unknown-header",
        "refuses custom attributes",
        {"H-16": "warn"},
        'if self.headers.get("X-Amzn-SageMaker-Custom-Attributes"): return self.answer(400)',
    ),
    _serve(
        "no-json",
        "says JSON, and sends CSV",
        {"H-17": "warn"},
        '.encode(), "text/csv")',
        '.encode() + b"end", "application/json")',
    ),
    _serve(
        "no-type",
        "says no Content-Type",
        {"H-17": "warn"},
        '        self.send_header("Content-Type", kind)\n',
        "",
    ),
    _at_each(
        "one-at-once",
        "refuses a second request at once",
        {"H-25": "warn"},
        "global busy\n        if globals().get('busy'): return self.answer(503)\n"
        "        busy = True; __import__('time').sleep(0.1); busy = False",
    ),
    Mutant(
        "execution-parameters",
        "/execution-parameters spells the strategy another way",
        {"H-56": "warn"},
        COPY_SERVE,
        {
            "serve": edited(
                SERVE,
                _PING,
                'self.answer(200, b\'{"BatchStrategy": "MultiRecord"}\') if self.path == "/execution-parameters" else '
                f"{_PING}",
            )
        },
    ),
    # -- abuse -------------------------------------------------------------------------------------------------------
    _serve(
        "limit-1-mb",
        "takes 1 MB",
        {"H-21": "fail"},
        _READ,
        '        if int(self.headers.get("Content-Length") or 0) > 1 << 20:\n            return self.answer(413)\n'
        f"{_READ}",
    ),
    _serve(
        "dies-large",
        "dies of 6 MB",
        {"H-21": "fail"},
        _READ,
        '        if int(self.headers.get("Content-Length") or 0) > 1 << 20:\n            os._exit(1)\n' + _READ,
    ),
    _serve(
        "dies-bad", "dies of bad JSON", {"H-18": "warn"}, _REFUSED, f"os._exit(1) if b'[1.0' in body else {_REFUSED}"
    ),
    _serve("error-500", "answers 500 to bad JSON", {"H-18": "warn"}, _REFUSED, "self.answer(500, json.dumps"),
    _serve("error-200", "answers 200 to bad JSON", {"H-18": "warn"}, _REFUSED, "self.answer(200, json.dumps"),
    _serve(
        "error-200-empty",
        "answers 200 and nothing to bad JSON",
        {"H-18": "warn"},
        _REFUSED,
        "self.answer(200, b'{\"predictions\": []}') or (lambda *_: None)(json.dumps",
    ),
    _serve(
        "error-closes",
        "closes the connection upon bad JSON",
        {"H-18": "warn"},
        "except (ValueError, TypeError, KeyError) as error",
        "except AttributeError as error",
    ),
    # -- the stop ----------------------------------------------------------------------------------------------------
    _serve(
        "serve-ignores-sigterm",
        "ignores SIGTERM",
        {"H-07": "fail"},
        _HANDLER,
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
    ),
    _serve("serve-no-handler", "has no handler of SIGTERM", {"H-07": "warn"}, _HANDLER, ""),
    _serve(
        "drops-request",
        "drops the request that it has at SIGTERM",
        {"H-07": "warn"},
        _HANDLER,
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n",
    ),
    Mutant(
        "behind-shell",
        "a shell that does not hand on SIGTERM starts it",
        {"H-07": "warn"},
        ["RUN mv /usr/local/bin/serve /opt/serve.py", *COPY_SERVE],
        {"serve": File(b"#!/bin/sh\npython3 /opt/serve.py\necho ended\n")},
    ),
    # -- labels ------------------------------------------------------------------------------------------------------
    _serve(
        "label-port",
        "the label says that it takes another port, and it does not",
        {"H-31": "fail"},
        'int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))',
        "8080",
    ),
    Mutant(
        "no-label-port",
        "takes another port, without the label",
        {"H-31": "warn"},
        [f"{_LABEL}.accept-bind-to-port=false"],
    ),
    _serve(
        "label-models",
        "the label says many models, and it has no such API",
        {"H-35": "fail"},
        'os.environ.get("SAGEMAKER_MULTI_MODEL") == "true"',
        "False",
    ),
    _serve("loads-again", "loads a model again", {"H-36": "fail"}, "409 if known else 200", "200"),
    _serve(
        "lists-by-name",
        "lists models by their names",
        {"H-37": "fail"},
        'self.answer_json({"models": rows})',
        'self.answer_json({row["modelName"]: row for row in rows})',
    ),
    _serve(
        "knows-all", "knows models that are not loaded", {"H-38": "fail"}, '"it is not loaded"}, 404', '"none"}, 200'
    ),
    _serve("keeps-model", "does not unload", {"H-39": "fail"}, "models.pop(", "models.get("),
    _serve(
        "invokes-unknown",
        "answers 500 for a model that is not loaded",
        {"H-40": "fail"},
        "        if name and name not in models:\n            self.answer(404)",
        "        if name and name not in models:\n            self.answer(500)",
    ),
    Mutant(
        "label-stream",
        "the label says bidirectional streaming, and it has none",
        {"H-47": "warn"},
        [f"{_LABEL}.bidirectional-streaming=true"],
    ),
    Mutant(
        "private-code",
        "only root may read its code",
        {"H-65": "warn"},
        ["RUN chmod 700 /usr/local/bin/serve"],
    ),
)

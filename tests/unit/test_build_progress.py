"""What the builders say, as they really said it (short recordings), turned into four events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from byoc_cli.engine.build_progress import Classic, Plain, RawJson


class Seen:
    """A BuildWatcher that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def started(self, step: str, title: str) -> None:
        self.events.append(("started", step, title))

    def output(self, step: str, text: str) -> None:
        self.events.append(("output", step, text))

    def finished(self, step: str, seconds: float, *, cached: bool) -> None:
        self.events.append(("finished", step, round(seconds, 3), cached))

    def failed(self, step: str, error: str) -> None:
        self.events.append(("failed", step, error))


# buildx 0.13.1, one build: a step from the cache, one that runs, one that fails.
RAW: list[dict[str, Any]] = [
    {"vertexes": [{"digest": "sha256:f1", "name": "[1/4] FROM docker.io/library/base:1"}]},
    {
        "vertexes": [
            {
                "digest": "sha256:f1",
                "name": "[1/4] FROM docker.io/library/base:1",
                "started": "2026-11-23T19:13:23.063181063Z",
                "completed": "2026-11-23T19:13:23.063208424Z",
                "cached": True,
            }
        ]
    },
    {
        "vertexes": [
            {
                "digest": "sha256:c8",
                "inputs": ["sha256:f1"],
                "name": "[2/4] RUN echo one && echo two >&2",
                "started": "2026-11-23T19:13:23.066500551Z",
            }
        ]
    },
    {"statuses": [{"id": "transferring", "vertex": "sha256:c8", "current": 29, "timestamp": "2026-11-23T19:13:22Z"}]},
    {"logs": [{"vertex": "sha256:c8", "stream": 1, "data": "b25lCg==", "timestamp": "2026-11-23T19:13:23.5Z"}]},
    {"logs": [{"vertex": "sha256:c8", "stream": 2, "data": "dHdv/wo=", "timestamp": "2026-11-23T19:13:23.5Z"}]},
    {
        "vertexes": [
            {
                "digest": "sha256:c8",
                "name": "[2/4] RUN echo one && echo two >&2",
                "started": "2026-11-23T19:13:23.066500551Z",
                "completed": "2026-11-23T19:13:23.566500551Z",
            },
            {"digest": "sha256:69", "name": "[3/4] RUN exit 7", "started": "2026-11-23T19:13:59.9Z"},
        ]
    },
    {
        "vertexes": [
            {
                "digest": "sha256:69",
                "name": "[3/4] RUN exit 7",
                "started": "2026-11-23T19:13:59.9Z",
                "completed": "2026-11-23T19:14:00Z",
                "error": 'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7',
            }
        ]
    },
]

RAW_EVENTS = [
    ("started", "sha256:f1", "[1/4] FROM docker.io/library/base:1"),
    ("finished", "sha256:f1", 0.0, True),
    ("started", "sha256:c8", "[2/4] RUN echo one && echo two >&2"),
    ("output", "sha256:c8", "one\n"),
    ("output", "sha256:c8", "two\ufffd\n"),
    ("finished", "sha256:c8", 0.5, False),
    ("started", "sha256:69", "[3/4] RUN exit 7"),
    ("failed", "sha256:69", 'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7'),
]


@pytest.mark.parametrize("indent", [None, 2], ids=["a line each", "indented, as buildx 0.13 does"])
def test_rawjson(indent: int | None) -> None:
    seen = Seen()
    reader = RawJson(seen)
    for status in RAW:
        for line in json.dumps(status, indent=indent).splitlines():
            reader.feed(line)
    reader.feed("ERROR: failed to build: failed to solve: exit code: 7")
    assert seen.events == RAW_EVENTS
    assert reader.rest == ["ERROR: failed to build: failed to solve: exit code: 7"]


def test_rawjson_says_each_end_once_however_often_it_is_told() -> None:
    seen = Seen()
    reader = RawJson(seen)
    for status in [*RAW, *RAW]:
        reader.feed(json.dumps(status))
    ends = [event for event in seen.events if event[0] in {"started", "finished", "failed"}]
    assert ends == [event for event in RAW_EVENTS if event[0] != "output"]


@pytest.mark.parametrize("lines", [["{not json}"], ["{", "  broken", "}"]])
def test_rawjson_keeps_what_is_no_json(lines: list[str]) -> None:
    seen = Seen()
    reader = RawJson(seen)
    for line in lines:
        reader.feed(line)
    reader.feed('{"vertexes": [{"digest": "a", "name": "x", "started": "2026-11-23T19:13:23Z"}]}')
    assert reader.rest == ["\n".join(lines)]
    assert seen.events == [("started", "a", "x")]


# --progress=plain of the same build (Docker 20.10).
PLAIN = """\
#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 31B done
#1 DONE 0.0s

#4 [1/3] FROM docker.io/library/base:1
#4 CACHED

#5 [2/3] RUN echo one && echo two >&2
#5 0.150 one
#5 0.151
#5 0.152   two
#5 DONE 12.3s

#6 [3/3] RUN echo three; exit 7
#6 0.360 three
#6 ERROR: executor failed running [/bin/sh -c echo three; exit 7]: exit code: 7
------
 > [3/3] RUN echo three; exit 7:
0.360 three
------
ERROR: failed to solve: executor failed running [/bin/sh -c echo three; exit 7]: exit code: 7"""


def test_plain() -> None:
    seen = Seen()
    reader = Plain(seen)
    for line in PLAIN.splitlines():
        reader.feed(line)
    assert seen.events == [
        ("started", "1", "[internal] load build definition from Dockerfile"),
        ("finished", "1", 0.0, False),
        ("started", "4", "[1/3] FROM docker.io/library/base:1"),
        ("finished", "4", 0.0, True),
        ("started", "5", "[2/3] RUN echo one && echo two >&2"),
        ("output", "5", "one\n"),
        ("output", "5", "\n"),
        ("output", "5", "  two\n"),
        ("finished", "5", 12.3, False),
        ("started", "6", "[3/3] RUN echo three; exit 7"),
        ("output", "6", "three\n"),
        ("failed", "6", "executor failed running [/bin/sh -c echo three; exit 7]: exit code: 7"),
    ]
    assert reader.rest[-1].startswith("ERROR: failed to solve: ")


def test_plain_of_an_old_client_says_the_last_line_without_a_newline_again() -> None:
    seen = Seen()
    reader = Plain(seen)
    lines = ["#5 [2/2] RUN printf half; exit 3", "#5 0.608 half", "#5 ERROR: exit code: 3"]
    lines += ["------", " > [2/2] RUN printf half; exit 3:", "#5 0.608 half", "------", "exit code: 3"]
    for line in lines:
        reader.feed(line)
    assert seen.events == [
        ("started", "5", "[2/2] RUN printf half; exit 3"),
        ("output", "5", "half\n"),
        ("failed", "5", "exit code: 3"),
    ]
    assert reader.rest == lines[3:]


# The classic API's messages of the same build (Docker 20.10).
CLASSIC: list[dict[str, Any]] = [
    {"stream": "Step 1/3 : FROM base:1"},
    {"stream": "\n"},
    {"stream": " ---> 4321acc9839c\n"},
    {"stream": "Step 2/3 : RUN echo one && echo two >&2"},
    {"stream": "\n"},
    {"stream": " ---> Running in f46b6c458087\n"},
    {"stream": "\x1b[91mtwo\n\x1b[0m"},
    {"stream": "one\n"},
    {"stream": "Removing intermediate container f46b6c458087\n"},
    {"stream": " ---> 8def50ce0c61\n"},
    {"stream": "Step 3/3 : RUN echo three; exit 7"},
    {"stream": "\n"},
]
CLASSIC_FAILS: list[dict[str, Any]] = [
    {"stream": " ---> Running in 3a7abd859d7b\n"},
    {"stream": "three\n"},
    {
        "errorDetail": {"code": 7, "message": "The command '/bin/sh -c exit 7' returned a non-zero code: 7"},
        "error": "The command '/bin/sh -c exit 7' returned a non-zero code: 7",
    },
]
CLASSIC_ENDS: list[dict[str, Any]] = [
    {"stream": " ---> Using cache\n"},
    {"stream": " ---> 8def50ce0c61\n"},
    {"aux": {"ID": "sha256:8def"}},
    {"stream": "Successfully built 8def50ce0c61\n"},
    {"stream": "Successfully tagged x:latest\n"},
]


def _classic(messages: list[dict[str, Any]], *, end: bool) -> list[tuple[Any, ...]]:
    seen = Seen()
    reader = Classic(seen)
    for message in messages:
        reader.feed(message)
    if end:
        reader.end()
    quiet = [event for event in seen.events if event[0] != "output" or event[2].strip()]
    return [event[:2] + event[3:] if event[0] == "finished" else event for event in quiet]


COMMON = [
    ("started", "1/3", "[1/3] FROM base:1"),
    ("finished", "1/3", False),
    ("started", "2/3", "[2/3] RUN echo one && echo two >&2"),
    ("output", "2/3", "two\n"),
    ("output", "2/3", "one\n"),
    ("finished", "2/3", False),
    ("started", "3/3", "[3/3] RUN echo three; exit 7"),
]


def test_classic_that_fails() -> None:
    assert _classic([*CLASSIC, *CLASSIC_FAILS], end=False) == [
        *COMMON,
        ("output", "3/3", "three\n"),
        ("failed", "3/3", "The command '/bin/sh -c exit 7' returned a non-zero code: 7"),
    ]


def test_classic_that_ends_with_a_step_from_the_cache() -> None:
    assert _classic([*CLASSIC, *CLASSIC_ENDS], end=True) == [*COMMON, ("finished", "3/3", True)]


def test_classic_progress_of_a_pull_is_no_output() -> None:
    assert (
        _classic([{"status": "Pulling from library/base", "id": "1"}, {"status": "Digest: sha256:1"}], end=True) == []
    )

"""docs/check.md: how it is used, the rules as `byoc check` has them, and which mutants they catch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from byoc_cli.check.model import Rule
from byoc_cli.check.table import STEPS
from byoc_cli.contract.rules import RULES

REPOSITORY = Path(__file__).parents[1]
MUTANTS = REPOSITORY / "docs" / "mutants.json"

_HEAD = """\
# Checking an image

    byoc check [IMAGE]

tries an image rule by rule against [SageMaker's contract](contract.md), before a job costs. First it reads the
configuration and, through the engine, single files, in a container that is made and never started. Then it lets the
image train, as `byoc local-train` does, and serve the model that it made, as `byoc serve` does. With `--registry` it also
reads what ECR has of the image.

A broken MUST fails, a broken SHOULD or NICE warns, and what could not be tried is skipped with the reason: it is never
passed. Each finding says what was *seen*, what the *cloud* would say, the *fix*, and its *source*. An image for hosting
only is checked with `--only serve`, one for training only with `--only train`.

| exit code | |
|---|---|
| 0 | no MUST is broken (with `--strict`: nothing is) |
| 1 | something is |
| 2 | wrong usage; 3 no engine, or no credentials for `--registry` |

## Choosing rules

`--only` and `--skip` take words, with commas or repeated: `train` and `serve` (what is about training, what is about
hosting; the image's own rules are about both, and stay when one is skipped), a step (`static`, `train-good`, …), or ids
of rules. An id that is checked as part of another rule (in brackets below) chooses that one. `byoc check --list` shows
what there is.

## How it trains

The data and the hyperparameters are the project's, with `--channel` and `--hyperparam` as in `byoc local-train`.
Without any channel the image gets one, `training`, with a small CSV file of numbers, a label first and no header, and
no hyperparameters, but for those that its source names where it fails for want of them. A failure on that is no
finding, unless its cause is known: then rules are skipped, and ask for `--channel`. What says that it does not know the
word `train`, or answers `/ping` when it is started with it, does not train. Choose a short run (`--hyperparam
epochs=1`): each step waits `--timeout`, 60 s by default, and of what still trains then most rules are skipped.

- `train-good`: without a network, on data that it cannot write to; where that fails, once more with a network and
  writable data, and before that, where its words tell nothing, with writable data alone. So T-74 and T-59 are known, and
  most of the others.
- `train-strings`: with the hyperparameters that the source of `train`, and of the modules beside and below it, names
  (`.get("epochs", 10)`, a dictionary or a dataclass of defaults), where none are given: T-12.
- `train-bad`: with a `hyperparameters.json` that is no JSON; where that is all the same to it, with data that nobody
  can read: T-31, T-32, T-34. Exit code 0 is a finding only after a failure file or an exception, or without a model where
  the good run left one; with a model, a traceback after which it does not go on is a warning.
- `train-stop`: SIGTERM in the middle: T-40, T-41, T-52; a next run with its checkpoints that counts its epochs from the
  first again, and says nothing of going on, is a warning. A training of less than 3 s is made longer, by more epochs if
  its source names them, else by little CPU time. What PID 1 does with SIGTERM is read in /proc, where the engine is on
  this machine, so that nobody waits 120 s.
- `train-hosts`: two hosts (`--two-hosts`), then one object for both: T-71, T-47, T-53, T-57.

Why a run failed is sought in its log and its failure file. The containers get no credentials, nothing of this machine
but the channels and the check's own folder, half of the engine's memory and 4,096 processes. All of it is removed at
the end, and `byoc clean` removes what a killed byoc left.

## How it serves

The model is the one that `train-good` made, or that of `--model` (a folder or a model.tar.gz; with `--only serve` nothing
trains then), as root's and read-only; else the folder is empty: what does not become ready then, and may need a model, is
skipped. It is asked at its own address, so an engine elsewhere shows less.

| run | with | shows |
|---|---|---|
| `serve` | no network; where that fails, once more with one | from the start to the stop: all below |
| `serve-port` | `SAGEMAKER_BIND_TO_PORT=8090` | H-31: the label and the behaviour go together |
| `serve-models` | `SAGEMAKER_MULTI_MODEL=true` and two models, if the label says so | H-35 to H-40 |
| `serve-serverless` | any user, little memory (`--serverless MB`) | H-65 |

- A start ends early when it is clear how: it listens on 127.0.0.1 only (read from the container's /proc/net/tcp), on
  another port, answers `/ping` 200 but after 2 s, or goes on saying no (but 503) and has nothing to do. Else it has
  `--timeout`.
- The request is `--sample FILE`, made into a body as `byoc predict` does it. Without one the first of some usual requests
  that is answered 2xx is taken: a picture as `[predict]` has it, rows of the channels, numbers as CSV and JSON, a
  sentence. Where none is, rules that need one are skipped; a sample of yours that is refused is a failure (H-15).
- Under load: `/ping` beside a request, beside one whose last byte is held back, and beside eight at once. A server that
  does one thing at a time is a warning, but for one whose requests are known to be short.
- A body of 6 MB is the sample with blanks in it (JSON), or with blanks or zeros behind it. Too large is a failure, and
  so is another answer than 2xx to such JSON; a warning if 4 MB are taken.
- Bad requests are JSON that breaks off, what is not of its content type, and an empty body (which may be answered 2xx).
- The stop comes while a request is on its way. A program that has no handler of SIGTERM is a warning, as many samples are
  so; one that ignores it, or that has not ended 30 s later, is a failure. Where the request may have kept it, as its last
  byte came after SIGTERM, it is started and stopped once more without one.

## What no check sees

- that an answer or a model is wrong: `"32" * 2` for a number, defaults in the place of a model that is not found;
- what comes after more requests, more time or more data than a check has, or only with a GPU or on more than two hosts;
- a time-out of the server's own (gunicorn's 30 s) that no request reached;
- host names that are taken for granted (`algo-1`), a swallowed error that is not printed, a driver under a name of its own.

## In CI

`--junit FILE` writes what every CI shows, `--html FILE` one page without any reference to elsewhere, for a browser or a
printer. For GitHub Actions:

```yaml
jobs:
  contract:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: { python-version: "3.12" }
      - run: pip install path/to/byoc
      - run: byoc build
      - run: byoc check --strict --junit check.xml --html check.html
      - uses: actions/upload-artifact@v4
        if: always()
        with: { name: check, path: "check.*" }
```
"""  # noqa: E501

_MUTANTS = """\
## Mutants

How we know that a rule catches what it is for: each row is a sound image and one small change, each cell what the
rules said of it. `make test` tries each mutant's own rules; this table is all rules on all mutants, made by `make
mutants`. On the sound image itself, and on those of `tests/integration/check/test_false_alarms*.py`, nothing fails or
warns.

| mutant | change | caught by | and by |
|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    order = list(RULES)
    rules = sorted((rule for step in STEPS for rule in step.rules), key=lambda rule: order.index(rule.id))
    steps = "\n".join(f"| `{step.name}` | {step.about} |" for step in STEPS)
    rows = "\n".join(map(_rule, rules))
    found = "\n".join(map(_mutant, json.loads(MUTANTS.read_text(encoding="utf-8"))))
    return (
        f"{_HEAD}\n## Steps\n\n| step | what it does |\n|---|---|\n{steps}\n\n"
        f"## Rules\n\nMade from the rules by `python scripts/docs.py`.\n\n"
        f"| rule | level | step | what is checked | what to do | source |\n|---|---|---|---|---|---|\n{rows}\n\n"
        f"{_MUTANTS}{found}\n"
    )


def _rule(rule: Rule[Any]) -> str:
    also = f" ({', '.join(rule.also)})" if rule.also else ""
    source = re.sub(r"https://\S+/(\S+)\.html", r"[\1](\g<0>)", rule.source)
    return _cells(rule.id + also, rule.level, rule.step.name, rule.sentence, rule.remedy, source)


def _mutant(row: Mapping[str, Any]) -> str:
    expected: Sequence[str] = list(row["expected"])
    found: Mapping[str, str] = row["found"]
    caught = ", ".join(f"{id_} {found.get(id_, '**missed**')}" for id_ in expected)
    others = ", ".join(f"{id_} {result}" for id_, result in found.items() if id_ not in expected)
    return _cells(f"`{row['name']}`", row["change"], caught, others)


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

"""Sound programs that train, in the styles found in the wild: nothing fails, and nothing warns."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.check.conftest import Make
from tests.integration.check.images import File, Recipe, findings

_COPY = ["COPY train /usr/local/bin/train"]

# A shell that does all by itself, reads no hyperparameters, and saves when it is told to stop.
SHELL = b"""#!/bin/sh
set -e
sum=0
save() { echo "$sum" > /opt/ml/model/sum.txt; }
trap 'save; exit 0' TERM
echo "training"
for file in /opt/ml/input/data/*/*.csv; do
  [ -f "$file" ] || continue
  while IFS=, read -r label rest; do sum=$((sum + label)); done < "$file"
done
for step in 1 2 3 4; do echo "step=$step sum=$sum"; sleep 0.5 & wait $!; done
save
"""

# A shell that starts the program beside itself and hands SIGTERM on.
FORWARDING = b"""#!/bin/bash
set -uo pipefail
python3 /opt/train.py &
child=$!
trap 'kill -TERM "$child"' TERM
wait "$child"; code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
exit "$code"
"""

PERL = b"""#!/usr/bin/perl
use strict; use warnings; $| = 1;
my $sum = 0;
sub save { open my $file, '>', '/opt/ml/model/model.txt' or die; print $file $sum; close $file }
$SIG{TERM} = sub { save(); exit 143 };
print "reading\\n";
for my $path (glob '/opt/ml/input/data/*/*.csv') {
  open my $file, '<', $path or die "$path: $!";
  while (<$file>) { $sum += (split /,/)[0] }
}
for my $round (1 .. 8) { print "round $round: $sum\\n"; select undef, undef, undef, 0.25 }
save();
"""

# As the toolkit hands hyperparameters over: words of the command line, converted by argparse, unknown ones refused.
ARGPARSE = b"""#!/usr/bin/env python3
import argparse, json, os, pathlib, signal, sys, time, traceback
stop = False
def told(*_):
    global stop
    stop = True
signal.signal(signal.SIGTERM, told)
model_dir = os.environ.get("SM_MODEL_DIR", "/opt/ml/model")
try:
    given = json.load(open("/opt/ml/input/config/hyperparameters.json"))
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    args = parser.parse_args([word for name, value in given.items() for word in (f"--{name}", value)])
    for epoch in range(args.epochs):
        print(f"epoch {epoch}: loss={1 / (epoch + 1)}", flush=True)
        time.sleep(0.4)
        if stop:
            break
    pathlib.Path(model_dir, "weights.json").write_text("[1]")
    pathlib.Path("/opt/ml/output/data/metrics.json").write_text("{}")
    os._exit(0)
except Exception as error:
    with open("/opt/ml/output/failure", "w") as file:
        file.write("Exception during training: " + str(error) + "\\n" + traceback.format_exc())
    traceback.print_exc()
    sys.exit(255)
"""

# No data, no hyperparameters, no channel: it simulates.
SIMULATION = b"""#!/usr/bin/env python3
import random, signal, sys, time
def save(*_):
    open("/opt/ml/model/pi", "w").write(str(4 * inside / max(total, 1)))
    sys.exit(0)
inside = total = 0
random.seed(1)
signal.signal(signal.SIGTERM, save)
for batch in range(5):
    total += 1000
    inside += sum(random.random() ** 2 + random.random() ** 2 < 1 for _ in range(1000))
    print("batch", batch, 4 * inside / total, flush=True)
    time.sleep(0.2)
save()
"""

# What it cannot read it logs, with a traceback, and goes on with its defaults.
TOLERANT = b"""#!/usr/bin/env python3
import json, logging, signal, sys, time
epochs = 4
def save(*_):
    open("/opt/ml/model/model.txt", "w").write("1")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
try:
    epochs = int(json.load(open("/opt/ml/input/config/hyperparameters.json")).get("epochs", epochs))
except ValueError:
    logging.exception("hyperparameters.json cannot be read; going on with the defaults")
for epoch in range(epochs):
    print("epoch", epoch, flush=True)
    time.sleep(0.3)
save()
"""

# Its channel has another name, and a check without --channel gives it none of that.
OTHER_CHANNEL = b"""#!/usr/bin/env python3
import sys
try:
    rows = open("/opt/ml/input/data/train/data.csv").read()
except OSError as error:
    open("/opt/ml/output/failure", "w").write(str(error))
    sys.exit(str(error))
open("/opt/ml/model/model", "w").write(rows)
"""

# A second container of the same image reads what the first left: the epoch to go on with.
CHECKPOINTS = b"""#!/usr/bin/env python3
import glob, os, signal, sys, time
done = sorted(glob.glob("/opt/ml/checkpoints/epoch-*"))
first = int(done[-1].rpartition("-")[2]) + 1 if done else 0
def save(*_):
    open("/opt/ml/model/model", "w").write("1")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
print("from epoch", first, flush=True)
for epoch in range(first, first + 8):
    os.makedirs("/opt/ml/checkpoints", exist_ok=True)
    open(f"/opt/ml/checkpoints/epoch-{epoch:04}", "w").close()
    print("epoch", epoch, flush=True)
    time.sleep(0.2)
open("/opt/ml/model/model", "w").write("1")
"""

MODULE = b"""#!/bin/bash
set -e
case "$1" in
  train) exec python3 -m app.train ;;
  *) exec "$@" ;;
esac
"""

STYLES = (
    Recipe("train-shell", _COPY, {"train": File(SHELL)}),
    Recipe("train-perl", _COPY, {"train": File(PERL)}),
    Recipe("train-argparse", _COPY, {"train": File(ARGPARSE)}),
    Recipe("train-simulation", _COPY, {"train": File(SIMULATION)}),
    Recipe("train-tolerant", _COPY, {"train": File(TOLERANT)}),
    Recipe("train-checkpoints", _COPY, {"train": File(CHECKPOINTS)}),
    Recipe(
        "train-forwarding",
        ["RUN mv /usr/local/bin/train /opt/train.py", *_COPY],
        {"train": File(FORWARDING)},
    ),
    Recipe(
        "train-module",
        [
            "RUN mkdir -p /srv/app && mv /usr/local/bin/train /srv/app/train.py && touch /srv/app/__init__.py",
            "WORKDIR /srv",
            "COPY entry /entry",
            'ENTRYPOINT ["/entry"]',
        ],
        {"entry": File(MODULE)},
    ),
)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_sound_train_raises_no_alarm(make: Make, folder: Path, style: Recipe) -> None:
    found = findings(make(style), folder, ["train", "train-hosts"])
    assert {
        id_: (each.result, each.verdict.seen) for id_, each in found.items() if each.result in {"fail", "warn"}
    } == {}
    assert {id_ for id_ in ("T-01", "T-31", "T-45", "T-74") if found[id_].result != "pass"} == set()
    # What is over at once can only be stopped where its source is known; a busy machine may still stop it in time.
    assert found["T-40"].result in ({"skip", "pass"} if style.name == "train-module" else {"pass"})


def test_what_needs_other_data_is_asked_for_it(make: Make, folder: Path) -> None:
    recipe = Recipe("train-other-channel", _COPY, {"train": File(OTHER_CHANNEL)})
    found = findings(make(recipe), folder, ["train-good", "train-bad", "train-stop"])
    assert {id_: each.verdict.seen for id_, each in found.items() if each.result in {"fail", "warn"}} == {}
    assert "--channel train=PATH" in found["T-45"].verdict.seen or found["T-45"].result == "skip"
    assert found["T-31"].result == "pass", "it did not end with 0"
    assert found["T-32"].result == "pass"


# Both words lead to the same server, and it would go on for ever.
SERVER = b"""#!/usr/bin/env python3
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""

# As MLflow's images have it.
NO_TRAINING = b"""#!/usr/bin/env python3
import sys
if sys.argv[1] == "serve":
    raise SystemExit("not here")
raise Exception("Train is not implemented.")
"""

UNKNOWN_WORD = b"""#!/usr/bin/env python3
import argparse
commands = argparse.ArgumentParser()
commands.add_argument("command", choices=["run", "predict"])
commands.parse_args()
"""


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (SERVER, "with the word `train`, too, it listens on 8080"),
        (NO_TRAINING, "Exception: Train is not implemented."),
        (UNKNOWN_WORD, "invalid choice: 'train'"),
    ],
)
def test_what_does_not_train_is_not_blamed_for_it(make: Make, folder: Path, entry: bytes, said: str) -> None:
    lines = ["RUN rm /usr/local/bin/train", "COPY entry /app.py", 'ENTRYPOINT ["python3", "/app.py"]']
    recipe = Recipe(f"no-training-{len(entry)}", lines, {"entry": File(entry, 0o644)})
    found = findings(make(recipe), folder, ["train-good", "train-bad", "train-stop"])
    assert {each.result for each in found.values()} == {"skip"}
    assert said in found["T-45"].verdict.seen


@pytest.mark.parametrize("said", ["no training data found, nothing to do", "pytorch cannot find any GPUs !"])
def test_t45_what_has_nothing_to_train_on_is_asked_for_data(make: Make, folder: Path, said: str) -> None:
    train = File(f"#!/bin/sh\necho '{said}'\n".encode())
    found = findings(make(Recipe(f"train-nothing-{len(said)}", _COPY, {"train": train})), folder, ["train-good"])
    assert {id_: each.verdict.seen for id_, each in found.items() if each.result in {"fail", "warn"}} == {}
    assert "--channel NAME=PATH" in found["T-45"].verdict.seen


def test_t69_what_imports_for_long_is_not_buffered(make: Make, folder: Path) -> None:
    """Its lines come late, and all at once, whatever the buffer."""
    source = b"import sys, time\ntime.sleep(4)\nfor step in range(5): print('step', step)\n"
    train = File(b"#!/usr/bin/env python3\n" + source + b"open('/opt/ml/model/m', 'w').write('1')\n")
    lines = ["ENV PYTHONUNBUFFERED=", *_COPY]
    found = findings(make(Recipe("train-imports", lines, {"train": train})), folder, ["T-69"])
    assert (found["T-69"].result, found["T-69"].verdict.seen[:8]) == ("pass", "5 lines,")


# What SageMaker's training toolkit does, in few words: variables, and hyperparameters as words of the command line.
TOOLKIT = b"""import json, os, subprocess, sys
CONFIG = "/opt/ml/input/config/"
def main():
    print("sagemaker-training-toolkit INFO     No GPUs detected (normal if no gpus installed)", flush=True)
    given = json.load(open(CONFIG + "hyperparameters.json"))
    channels = json.load(open(CONFIG + "inputdataconfig.json"))
    os.environ.update({f"SM_CHANNEL_{name.upper()}": f"/opt/ml/input/data/{name}" for name in channels})
    os.environ["SM_MODEL_DIR"] = "/opt/ml/model"
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    ended = subprocess.run([sys.executable, "/opt/ml/code/" + os.environ["SAGEMAKER_PROGRAM"], *words])
    if ended.returncode:
        open("/opt/ml/output/failure", "w").write("ExecuteUserScriptError")
    sys.exit(ended.returncode)
"""

SCRIPT = """import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--data", default=os.environ["SM_CHANNEL_TRAIN"])
args = parser.parse_args()
for epoch in range(args.epochs):
    print("epoch", epoch, os.listdir(args.data), flush=True)
open(os.environ["SM_MODEL_DIR"] + "/model", "w").write("1")
"""


def _with_toolkit(name: str, script: str) -> Recipe:
    folder = "/usr/lib/python3/dist-packages/sagemaker_training"
    lines = [
        f"RUN mkdir -p {folder} /opt/ml/code",
        f"COPY toolkit {folder}/__init__.py",
        "COPY script /opt/ml/code/script.py",
        "ENV SAGEMAKER_PROGRAM=script.py",
        *_COPY,
    ]
    train = b"#!/usr/bin/env python3\nfrom sagemaker_training import main\nmain()\n"
    return Recipe(name, lines, {"toolkit": File(TOOLKIT), "script": File(script.encode()), "train": File(train)})


def test_t29_a_script_of_the_toolkit_is_asked_for_its_channel(make: Make, folder: Path) -> None:
    found = findings(make(_with_toolkit("train-toolkit", SCRIPT)), folder, ["train-good", "train-bad"])
    assert {id_: each.verdict.seen for id_, each in found.items() if each.result in {"fail", "warn"}} == {}
    assert found["T-29"].result == "skip"


def test_t12_a_script_of_the_toolkit_that_takes_words_for_numbers(make: Make, folder: Path) -> None:
    script = SCRIPT.replace("SM_CHANNEL_TRAIN", "SM_CHANNEL_TRAINING")
    wrong = script.replace("type=int, ", "")
    assert findings(make(_with_toolkit("train-toolkit-good", script)), folder, ["T-12"])["T-12"].result == "pass"
    assert findings(make(_with_toolkit("train-toolkit-words", wrong)), folder, ["T-12"])["T-12"].result == "fail"


def test_an_image_that_serves_only_is_not_let_train(make: Make, folder: Path) -> None:
    lines = ["RUN rm /usr/local/bin/train", "COPY entry /entry", 'ENTRYPOINT ["/entry"]']
    entry = File(b'#!/bin/sh\nif [ "$1" = serve ]; then exec /usr/local/bin/serve; fi\nexec sleep 600\n')
    found = findings(make(Recipe("serves-only", lines, {"entry": entry})), folder, ["train-good", "train-stop"])
    assert {(each.result, each.verdict.seen) for each in found.values()} == {("skip", "the image does not train")}

"""Images in the styles found in the wild, all of them sound: nothing fails, and nothing warns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from byoc_cli.check.model import Result
from tests.integration.check.conftest import Make
from tests.integration.check.images import File, Recipe, findings
from tests.integration.check.mutant import SERVE, TRAIN

_NO_WORDS = "RUN rm /usr/local/bin/train /usr/local/bin/serve"

GUNICORN_ENTRYPOINT = b"""#!/bin/bash
set -euo pipefail
# Started by SageMaker with one word.
case "${1:-serve}" in
  train) shift; exec python3 -m model.train "$@" ;;
  serve) exec gunicorn --bind 0.0.0.0:8080 --workers "${WORKERS:-2}" --timeout 60 model.app:app ;;
  *) exec "$@" ;;
esac
"""

MMS_ENTRYPOINT = b"""import shlex
import subprocess
import sys
from subprocess import CalledProcessError

from sagemaker_inference import model_server

if sys.argv[1] == "serve":
    model_server.start_model_server(handler_service="/home/model-server/model_handler.py:handle")
else:
    subprocess.check_call(shlex.split(" ".join(sys.argv[1:])))

# prevent docker exit
subprocess.call(["tail", "-f", "/dev/null"])
"""

DLC_ENTRYPOINT = b"""#!/usr/bin/env bash
if [[ "$1" = "train" ]]; then
     CURRENT_HOST=$(jq .current_host  /opt/ml/input/config/resourceconfig.json)
     sed -ie "s/PLACEHOLDER_HOSTNAME/$CURRENT_HOST/g" changehostname.c
     train
else
     eval "$@"
fi
"""

NVIDIA_ENTRYPOINT = b"""#!/bin/bash
cat <<EOF
== CUDA ==
EOF
if [ -n "$NVIDIA_VISIBLE_DEVICES" ]; then
  echo "GPU"
fi
if [[ $# -eq 0 ]]; then
  exec "/bin/bash"
else
  exec "$@"
fi
"""

ARGPARSE_TRAIN = b"""#!/usr/bin/env python
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
os.environ["SM_LOG_LEVEL"] = "20"
"""

CONDA_ENTRYPOINT = b"""#!/bin/bash
set -e
source /opt/conda/bin/activate sagemaker
exec "$@"
"""

DEFAULT_TRAIN = b"""#!/bin/sh
set -e
if [ "$1" = "serve" ]; then exec python3 /srv/serve.py; fi
exec python3 /srv/train.py
"""

NODE_ENTRYPOINT = b"""const http = require("http");
if (process.argv[2] === "train") { require("./fit"); }
else { http.createServer((request, response) => response.end()).listen(8080); }
"""

R_ENTRYPOINT = b"""library(plumber)
args <- commandArgs()
if (any(grepl('train', args))) { train() }
if (any(grepl('serve', args))) { plumb('/opt/plumber.R')$run(host='0.0.0.0', port=8080) }
"""

ONE_WORD_ENTRYPOINT = b"""#!/bin/bash
if [[ "$1" == "train" ]]; then
    python3 /opt/higgs.py
else
    echo -e "did not recognize option '${1}' \\n"
    exit 1
fi
"""

REWRITING_ENTRYPOINT = b"""#!/bin/sh
set -e
set -- python3 /srv/cli.py "$@"
exec "$@"
"""

WORDS_AS_FUNCTIONS = b"""#!/bin/bash
train() { exec python3 /srv/fit.py; }
serve() { exec gunicorn -b 0.0.0.0:8080 app:app; }
"$@"
"""

# Settings as SM_VLLM_… are the user's own, not the toolkit's.
VLLM_ENTRYPOINT = b"""#!/bin/bash
PREFIX="SM_VLLM_"
ARGS=(--port 8080)
while IFS='=' read -r key value; do ARGS+=("--${key#"${PREFIX}"}" "$value"); done < <(env | grep "^${PREFIX}")
exec vllm serve "${ARGS[@]}"
"""

STYLES = (
    # gunicorn and Flask behind a script that takes the word.
    Recipe(
        "gunicorn",
        [_NO_WORDS, "COPY e /entrypoint.sh", 'ENTRYPOINT ["/entrypoint.sh"]'],
        {"e": File(GUNICORN_ENTRYPOINT)},
    ),
    # AWS's scikit example: nginx and gunicorn, all in one folder that is put on PATH.
    Recipe(
        "scikit",
        [
            "RUN mkdir /opt/program && mv /usr/local/bin/train /usr/local/bin/serve /opt/program/",
            'ENV PYTHONDONTWRITEBYTECODE=TRUE PATH="/opt/program:${PATH}"',
            "WORKDIR /opt/program",
            "EXPOSE 8080",
            "HEALTHCHECK CMD true",
        ],
    ),
    Recipe(
        "code-folder",
        [
            "RUN mkdir -p /opt/ml/code /opt/ml/model /opt/ml/input/data /opt/ml/output",
            "RUN mv /usr/local/bin/train /usr/local/bin/serve /opt/ml/code/",
            "ENV PATH=/opt/ml/code:$PATH",
        ],
    ),
    # AWS's multi-model-server example, which is for hosting only.
    Recipe(
        "mms",
        [
            _NO_WORDS,
            "COPY e /usr/local/bin/dockerd-entrypoint.py",
            "LABEL com.amazonaws.sagemaker.capabilities.multi-models=true",
            'ENTRYPOINT ["python3", "/usr/local/bin/dockerd-entrypoint.py"]',
            'CMD ["serve"]',
        ],
        {"e": File(MMS_ENTRYPOINT, 0o644)},
    ),
    # AWS's own training images: a script found by bash on PATH, the toolkit, its variables.
    Recipe(
        "dlc",
        [
            "RUN mkdir -p /usr/lib/python3/dist-packages/sagemaker_training",
            "COPY e /usr/local/bin/start_with_right_hostname.sh",
            "ENV SAGEMAKER_PROGRAM=train.py SAGEMAKER_SUBMIT_DIRECTORY=/opt/ml/code",
            'ENTRYPOINT ["bash", "-m", "start_with_right_hostname.sh"]',
        ],
        {"e": File(DLC_ENTRYPOINT)},
    ),
    Recipe(
        "nvidia",
        [
            "COPY e /opt/nvidia/nvidia_entrypoint.sh",
            "ENV CUDA_VERSION=12.4.1 NVIDIA_VISIBLE_DEVICES=all",
            "RUN mkdir -p /usr/local/cuda/compat /usr/lib64 && echo x > /usr/local/cuda/compat/libcuda.so.550",
            "RUN ln -s /usr/local/cuda/compat/libcuda.so.550 /usr/lib64/libcuda.so.1 && touch /usr/bin/nvidia-smi",
            'ENTRYPOINT ["/opt/nvidia/nvidia_entrypoint.sh"]',
        ],
        {"e": File(NVIDIA_ENTRYPOINT)},
    ),
    Recipe(
        "shell",
        ["COPY t /usr/local/bin/train", "COPY s /usr/local/bin/serve"],
        {
            "t": File(b"#!/bin/sh -e\nexec python3 /opt/train.py\n"),
            "s": File(b"#! /bin/bash\nexec python3 /opt/serve.py\n"),
        },
    ),
    # A binary that is told what to do by the word, and one for each word.
    Recipe("compiled", [_NO_WORDS, "RUN cp /bin/cat /server", 'ENTRYPOINT ["/server"]']),
    Recipe("binaries", ["RUN cp /bin/cat /usr/local/bin/train && cp /bin/cat /usr/local/bin/serve"]),
    Recipe(
        "tini",
        ["RUN cp /bin/true /usr/bin/tini", "COPY e /entry.sh", 'ENTRYPOINT ["/usr/bin/tini", "-g", "--", "/entry.sh"]'],
        {"e": File(b'#!/bin/sh\nexec "$@"\n')},
    ),
    # A virtual environment, Python's own links, variables that have a default.
    Recipe(
        "venv",
        [
            "RUN mkdir -p /opt/venv/bin && ln -s $(command -v python3) /opt/venv/bin/python",
            "ENV PATH=/opt/venv/bin:$PATH",
            "COPY train serve /opt/venv/bin/",
            "USER root:root",
        ],
        {
            "train": File(ARGPARSE_TRAIN),
            "serve": File(SERVE.replace(b"/usr/bin/env python3", b"/opt/venv/bin/python", 1)),
        },
    ),
    # What is started is in an environment that the script puts on PATH.
    Recipe(
        "conda",
        [
            "RUN mkdir -p /opt/conda/envs/sagemaker/bin && mv /usr/local/bin/train /opt/conda/envs/sagemaker/bin/",
            "COPY e /entry",
            "COPY serve /usr/local/bin/serve",
            'ENTRYPOINT ["/entry"]',
        ],
        {"e": File(CONDA_ENTRYPOINT), "serve": File(SERVE.replace(b"env python3", b"env python3.999", 1))},
    ),
    Recipe(
        "trains-by-default",
        [_NO_WORDS, "COPY e /entry", 'ENTRYPOINT ["/entry"]'],
        {"e": File(DEFAULT_TRAIN)},
    ),
    Recipe(
        "shell-with-first-argument",
        ["COPY e /opt/run.sh", 'ENTRYPOINT ["/bin/bash", "-c", "exec /opt/run.sh \\"$1\\"", "--"]'],
        {"e": File(b'#!/bin/sh\nexec "$@"\n')},
    ),
    # AWS's example in R has its program in /opt/ml itself, others have theirs in a folder there.
    Recipe(
        "in-opt-ml",
        [
            "RUN mkdir -p /opt/ml/program && mv /usr/local/bin/train /usr/local/bin/serve /opt/ml/program/",
            "RUN echo > /opt/ml/mars.R",
            "ENV PATH=/opt/ml/program:$PATH",
        ],
    ),
    Recipe(
        "shell-with-arguments",
        ["COPY e /entry", 'ENTRYPOINT ["/bin/bash", "-lc", "exec \\"$0\\" \\"$@\\""]'],
        {"e": File(b"#!/bin/sh\n")},
    ),
    # A program of Node's, of R's, of Java's; code on the command line; each is given the word.
    Recipe(
        "node",
        [_NO_WORDS, "RUN cp /bin/cat /usr/bin/node", "COPY i /app/index.js", 'ENTRYPOINT ["node", "/app/index.js"]'],
        {"i": File(NODE_ENTRYPOINT, 0o644)},
    ),
    Recipe(
        "r",
        [
            _NO_WORDS,
            "RUN cp /bin/cat /usr/bin/Rscript",
            "COPY m /opt/ml/mars.R",
            'ENTRYPOINT ["/usr/bin/Rscript", "--no-save", "/opt/ml/mars.R"]',
        ],
        {"m": File(R_ENTRYPOINT, 0o644)},
    ),
    Recipe("java", [_NO_WORDS, "RUN cp /bin/cat /usr/bin/java", 'ENTRYPOINT ["java", "-jar", "/serve.jar"]']),
    Recipe("code", [_NO_WORDS, 'ENTRYPOINT ["python3", "-c", "import sys; import app; app.main(sys.argv[1])"]']),
    Recipe(
        "conda-run",
        [
            _NO_WORDS,
            "COPY c /opt/conda/bin/conda",
            "COPY train serve /opt/conda/envs/env/bin/",
            "ENV PATH=/opt/conda/bin:$PATH",
            'ENTRYPOINT ["conda", "run", "--no-capture-output", "-n", "env"]',
        ],
        {
            "c": File(b"#!/usr/bin/python3\nfrom conda.cli import main\nmain()\n"),
            "train": File(TRAIN),
            "serve": File(SERVE),
        },
    ),
    Recipe(
        "one-word", [_NO_WORDS, "COPY e /e.sh", 'ENTRYPOINT ["bash", "/e.sh"]'], {"e": File(ONE_WORD_ENTRYPOINT, 0o644)}
    ),
    Recipe("rewrites", [_NO_WORDS, "COPY e /e.sh", 'ENTRYPOINT ["/e.sh"]'], {"e": File(REWRITING_ENTRYPOINT)}),
    Recipe("functions", [_NO_WORDS, "COPY e /e.sh", 'ENTRYPOINT ["/e.sh"]'], {"e": File(WORDS_AS_FUNCTIONS)}),
    Recipe("vllm", [_NO_WORDS, "COPY e /e.sh", 'ENTRYPOINT ["/e.sh"]'], {"e": File(VLLM_ENTRYPOINT)}),
    # Links to links, of files and of folders; options of env; an archive behind a script (zipapp, makeself).
    Recipe(
        "links",
        [
            "COPY train /opt/app/bin/run.py",
            "RUN mv /usr/local/bin/serve /opt/serve && rm /usr/local/bin/train",
            "RUN ln -s /opt/app /srv/app && ln -s ../../../srv/app/bin/run.py /usr/local/bin/train",
            "RUN ln -s /opt/serve /opt/again && ln -s /opt/again /usr/local/bin/serve",
        ],
        {"train": File(TRAIN.replace(b"/usr/bin/env python3", b"/usr/bin/env -S python3 -u", 1))},
    ),
    Recipe(
        "archives",
        ["COPY train serve /usr/local/bin/"],
        {
            "train": File(b"#!/usr/bin/env python3\nPK\x03\x04\x14\0\0\r\n\x89\0"),
            "serve": File(b'#!/bin/sh\nexec tail -c +64 "$0" | sh\n\x1f\x8b\0\0\r\n'),
        },
    ),
    # Python is given a file of that name in its folder.
    Recipe(
        "python-alone",
        [_NO_WORDS, "WORKDIR /srv", "COPY train serve ./", 'ENTRYPOINT ["python3"]'],
        {"train": File(TRAIN, 0o644), "serve": File(SERVE, 0o644)},
    ),
    Recipe(
        "relative",
        ["WORKDIR /srv", "COPY train serve ./bin/", "COPY e ./entry", _NO_WORDS, 'ENTRYPOINT ["./entry"]'],
        {"train": File(TRAIN), "serve": File(SERVE), "e": File(b'#!/bin/sh\nexec "./bin/$1"\n')},
    ),
)

# What cannot be known without a start.
SKIPPED: Mapping[str, set[str]] = {
    "mms": {"T-01"},
    "compiled": {"T-01", "H-01"},
    "conda": {"T-01"},
    "trains-by-default": {"T-01"},
    "shell-with-first-argument": {"T-01", "H-01"},
    "node": {"H-01"},
    "java": {"T-01", "H-01"},
    "code": {"T-01", "H-01"},
    "conda-run": {"T-01", "H-01"},
    "one-word": {"H-01"},
    "rewrites": {"T-01", "H-01"},
    "vllm": {"T-01"},
    "python-alone": {"T-01", "H-01"},
    "relative": {"T-01", "H-01"},
    "shell-with-arguments": {"T-01", "H-01"},
}


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_sound_image_raises_no_alarm(make: Make, folder: Path, style: Recipe) -> None:
    found = findings(make(style), folder, ["static"])
    wrong: dict[str, tuple[Result, str]] = {
        id_: (each.result, each.verdict.seen) for id_, each in found.items() if each.result in {"fail", "warn"}
    }
    assert wrong == {}
    skipped = {id_ for id_, each in found.items() if each.result == "skip"} - {"I-16"}
    assert skipped == SKIPPED.get(style.name, set())


def test_t60_what_serves_only_may_be_another_user_s(make: Make, folder: Path) -> None:
    """It needs to read its model, and to write to /tmp."""
    lines = [_NO_WORDS, "COPY e /e.sh", "USER 1000", 'ENTRYPOINT ["/e.sh"]']
    found = findings(make(Recipe("serves-as-user", lines, {"e": File(VLLM_ENTRYPOINT)})), folder, ["static"])
    assert {id_: each.result for id_, each in found.items() if each.result in {"fail", "warn"}} == {"T-60": "warn"}


def test_an_image_without_a_shell_and_without_python(make: Make, folder: Path) -> None:
    """Two static binaries and nothing else."""
    program = File(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44))
    recipe = Recipe(
        "scratch", ["COPY train serve /usr/local/bin/"], {"train": program, "serve": program}, base="scratch"
    )
    found = findings(make(recipe), folder, ["static"])
    assert {id_ for id_, each in found.items() if each.result in {"fail", "warn"}} == set()
    assert {id_ for id_, each in found.items() if each.result == "skip"} == {"I-16", "T-09"}


def test_the_bundled_container_raises_no_alarm(cifar10_image: str, folder: Path) -> None:
    found = findings(cifar10_image, folder, ["static"])
    assert {id_: each.verdict.seen for id_, each in found.items() if each.result in {"fail", "warn"}} == {}

"""The mutants: the good image and one small change, each with the rules that have to catch it.

A mutant is a line of this table. `caught` are the rules that `make test` tries on it, with what they have to say;
`make mutants` tries all rules on all mutants and writes docs/mutants.json, of which docs/check.md is made.
"""

from __future__ import annotations

import struct

from tests.integration.check.images import File
from tests.integration.check.mutant import COPY_TRAIN as _COPY_TRAIN
from tests.integration.check.mutant import SERVE, TRAIN, Mutant, edited
from tests.integration.check.mutants_other import OTHER_MUTANTS
from tests.integration.check.mutants_serve import SERVE_MUTANTS
from tests.integration.check.mutants_train import TRAIN_MUTANTS

ARM64, AMD64 = 0xB7, 0x3E


def elf(machine: int, loader: str = "") -> bytes:
    """The head of a binary: all that the kernel looks at first."""
    count, place = (1, 120) if loader else (0, 0)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0x400000, 64, 0, 0, 64, 56, count, 0, 0, 0)
    name = loader.encode() + b"\0"
    table = struct.pack("<IIQQQQQQ", 3, 4, place, 0, 0, len(name), len(name), 1) if loader else b""
    return head + table + (name if loader else b"")


MUTANTS = (
    # -- how it is started -------------------------------------------------------------------------------------------
    Mutant("no-train", "no `train`", {"T-01": "fail"}, ["RUN rm /usr/local/bin/train"]),
    Mutant("no-serve", "no `serve`", {"H-01": "fail"}, ["RUN rm /usr/local/bin/serve"]),
    Mutant(
        "not-on-path",
        "`train` is in /opt/program, PATH is not told",
        {"T-01": "fail"},
        ["RUN mkdir /opt/program && mv /usr/local/bin/train /opt/program/"],
    ),
    Mutant(
        "entrypoint-missing",
        "ENTRYPOINT names a file that is not there",
        {"T-01": "fail", "H-01": "fail"},
        ['ENTRYPOINT ["/opt/program/entrypoint.sh"]'],
    ),
    Mutant(
        "entrypoint-script-missing",
        "ENTRYPOINT lets Python run a file that is not there",
        {"T-01": "fail", "H-01": "fail"},
        ['ENTRYPOINT ["python3", "/opt/program/main.py"]'],
    ),
    Mutant(
        "entrypoint-executes-nothing",
        "ENTRYPOINT executes its arguments, there is no `train`",
        {"T-01": "fail"},
        ["COPY entry /entry", "RUN rm /usr/local/bin/train", 'ENTRYPOINT ["/entry"]'],
        {"entry": File(b'#!/bin/sh\nset -e\nexec "$@"\n')},
    ),
    Mutant("shell-form", "ENTRYPOINT in shell form", {"T-06": "fail"}, ["ENTRYPOINT train"]),
    Mutant(
        "tini",
        "tini is the entrypoint",
        {"T-07": "warn"},
        ["RUN cp /bin/true /usr/bin/tini", 'ENTRYPOINT ["/usr/bin/tini", "--"]'],
    ),
    # -- whether it can be executed ----------------------------------------------------------------------------------
    Mutant("not-executable", "`train` without its x bit", {"I-06": "fail"}, ["RUN chmod -x /usr/local/bin/train"]),
    Mutant(
        "crlf", "`train` with Windows line ends", {"I-06": "fail"}, _COPY_TRAIN, {"train": edited(TRAIN, "\n", "\r\n")}
    ),
    Mutant(
        "crlf-entrypoint",
        "a script for sh with Windows line ends, without a shebang",
        {"I-06": "fail"},
        ["COPY entry /entry", 'ENTRYPOINT ["sh", "/entry"]'],
        {"entry": File(b'set -e\r\nexec "$@"\r\n')},
    ),
    Mutant(
        "no-interpreter",
        "the shebang of `train` names what is not there",
        {"I-06": "fail"},
        _COPY_TRAIN,
        {"train": edited(TRAIN, "#!/usr/bin/env python3", "#!/usr/bin/env python2")},
    ),
    Mutant(
        "no-interpreter-path",
        "the shebang of `serve` is a path that is not there",
        {"I-06": "fail"},
        ["COPY serve /usr/local/bin/serve"],
        {"serve": edited(SERVE, "#!/usr/bin/env python3", "#!/opt/conda/bin/python")},
    ),
    Mutant(
        "no-shebang",
        "`train` without a shebang",
        {"I-06": "fail"},
        _COPY_TRAIN,
        {"train": edited(TRAIN, "#!/usr/bin/env python3\n", "")},
    ),
    Mutant("empty", "`train` is empty", {"I-06": "fail"}, _COPY_TRAIN, {"train": File(b"")}),
    Mutant(
        "wrong-machine",
        "`serve` is a binary for arm64",
        {"I-06": "fail"},
        ["COPY serve /usr/local/bin/serve"],
        {"serve": File(elf(ARM64))},
    ),
    Mutant(
        "no-loader",
        "`serve` is linked for Alpine (musl)",
        {"I-06": "fail"},
        ["COPY serve /usr/local/bin/serve"],
        {"serve": File(elf(AMD64, "/lib/ld-musl-x86_64.so.1"))},
    ),
    # -- configuration -----------------------------------------------------------------------------------------------
    Mutant("user", "USER 1000", {"T-60": "fail"}, ["USER 1000"]),
    Mutant("user-by-name", "USER with a name and a group", {"T-60": "fail"}, ["USER nobody:root"]),
    Mutant("volume", "VOLUME under /opt/ml", {"I-12": "warn"}, ["VOLUME /opt/ml/model"]),
    Mutant("stop-signal", "STOPSIGNAL SIGINT", {"I-12": "warn"}, ["STOPSIGNAL SIGINT"]),
    Mutant(
        "label-misspelled",
        "a capability's label misspelled",
        {"I-14": "fail"},
        ["LABEL com.amazonaws.sagemaker.capabilities.multi-model=true"],
    ),
    Mutant(
        "label-yes",
        "a capability's label says yes",
        {"I-14": "fail"},
        ["LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=yes"],
    ),
    # -- files -------------------------------------------------------------------------------------------------------
    Mutant(
        "model-in-image",
        "a model in /opt/ml/model of the image",
        {"I-08": "fail"},
        ["RUN mkdir -p /opt/ml/model && echo weights > /opt/ml/model/weights"],
    ),
    Mutant(
        "data-in-image",
        "data in /opt/ml/input of the image",
        {"I-08": "warn"},
        ["RUN mkdir -p /opt/ml/input/data/training && echo 1 > /opt/ml/input/data/training/a.csv"],
    ),
    Mutant(
        "data-beside",
        "data in a folder of its own in /opt/ml",
        {"I-08": "warn"},
        ["RUN mkdir -p /opt/ml/data && echo 1 > /opt/ml/data/a.csv"],
    ),
    Mutant(
        "driver",
        "NVIDIA's driver in the image",
        {"I-11": "warn"},
        [
            "RUN mkdir -p /usr/lib64 && echo driver > /usr/lib64/libcuda.so.535.104.05",
            "RUN ln -s libcuda.so.535.104.05 /usr/lib64/libcuda.so.1",
        ],
    ),
    Mutant(
        "toolkit-variables",
        "SAGEMAKER_PROGRAM without the toolkit",
        {"T-29": "warn"},
        ["ENV SAGEMAKER_PROGRAM=train.py"],
    ),
    Mutant(
        "toolkit-environment",
        "`train` needs SM_MODEL_DIR without the toolkit",
        {"T-29": "fail"},
        _COPY_TRAIN,
        {"train": edited(TRAIN, 'MODEL = ML / "model"', 'import os\nMODEL = pathlib.Path(os.environ["SM_MODEL_DIR"])')},
    ),
    *TRAIN_MUTANTS,
    *SERVE_MUTANTS,
    *OTHER_MUTANTS,
)

"""What lies in an image's files."""

from __future__ import annotations

import re

from byoc_cli.check.model import Verdict, failed, passed, skipped, warned
from byoc_cli.check.static import STATIC
from byoc_cli.check.static.facts import TOOLKIT_VARIABLES, ImageFacts
from byoc_cli.check.static.programs import without_comments
from byoc_cli.contract import paths
from byoc_cli.errors import some

# Without a default: os.environ["SM_MODEL_DIR"], ${SM_MODEL_DIR}, $SM_MODEL_DIR; not os.environ.get, not ${…:-…}.
# Nor what only looks whether it is there: [ -z "$SM_MODEL_DIR" ].
_NEEDS = re.compile(
    r"""environ\[\s*["'](SM_[A-Z_]+)["']\s*\](?!\s*=[^=])"""
    r"""|(?<!-[nz] )(?<!-[nz] ")\$\{?(SM_[A-Z_]+)\b(?!:?[-=?+])"""
)


@STATIC.rule(
    "I-08",
    "it has no files of its own where SageMaker mounts",
    f"COPY to another folder ({paths.ROOT}/code, /opt/program); what is there is hidden",
)
def nothing_hidden(image: ImageFacts) -> Verdict:
    """/opt/ml/code is the exception."""
    if not image.hidden:
        return passed(f"nothing lies in {paths.ROOT} but what may be there")
    mounted = (paths.MODEL, paths.INPUT, paths.OUTPUT, paths.CHECKPOINTS)
    seen = "\n".join(
        f"{folder} has {some(names)}: "
        + ("hidden by SageMaker's own folder" if folder in mounted else f"{paths.ROOT} is SageMaker's, but for code")
        for folder, names in image.hidden.items()
    )
    return failed(seen) if paths.MODEL in image.hidden else warned(seen)


@STATIC.rule(
    "I-11", "it has no NVIDIA driver of its own", "leave the driver out: the host's is mounted", also=("T-75",)
)
def no_driver(image: ImageFacts) -> Verdict:
    """Files of a driver that are no stubs and not of CUDA's compatibility package."""
    if not image.driver:
        return passed("no file of a driver was found")
    return warned(f"these belong to a driver: {', '.join(image.driver)}")


@STATIC.rule(
    "T-29",
    "it does not need the toolkit's variables without the toolkit",
    f"RUN pip install sagemaker-training, or read {paths.ROOT} directly",
)
def no_toolkit_variables(image: ImageFacts) -> Verdict:
    """SM_… are made inside of the container, SAGEMAKER_PROGRAM is read by the toolkit alone."""
    texts = {
        program.path: program.text
        for start in image.starts
        for program in (start.program, start.script, start.on_path)
        if program and program.text
    }
    if image.toolkit:
        return passed(f"the toolkit is there: {image.toolkit}")
    seen = [
        f"ENV {name}={value}, which only the toolkit reads"
        for name in TOOLKIT_VARIABLES
        if (value := image.image.config.environment.get(name)) and not any(name in text for text in texts.values())
    ]
    for path, text in texts.items():
        names = dict.fromkeys(first or second for first, second in _NEEDS.findall(without_comments(text)))
        missing = [
            name
            for name in names
            # Its own assignment, or ENV, makes it; or it looks first.
            if name not in image.image.config.environment
            and not re.search(rf"\b{name}=|setdefault\(\s*[\"']{name}\b|[\"']{name}[\"']\s+(?:not\s+)?in\b", text)
        ]
        if missing:
            seen.append(f"{path} needs {', '.join(missing)}, which the toolkit makes and SageMaker does not")
    if not seen:
        return passed("no such variable is needed")
    if image.toolkit is None:
        return skipped("whether the toolkit is installed cannot be told: " + seen[0])
    return warned("\n".join(seen))


@STATIC.rule("T-09", "it has bash and Python, which SDK v3's ModelTrainer starts", "install bash and python3")
def sdk_v3(image: ImageFacts) -> Verdict:
    """For information: most images are started otherwise."""
    missing = [name for name, path in (("/bin/bash", image.bash), ("python", image.python)) if not path]
    if missing:
        return skipped(f"no {' and no '.join(missing)}: fine, but ModelTrainer of SDK v3 cannot start it")
    return passed(f"{image.bash}, {image.python}")

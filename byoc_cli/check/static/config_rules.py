"""What an image's configuration says."""

from __future__ import annotations

import difflib
import posixpath
import re

from byoc_cli.check.model import Verdict, failed, passed, skipped, warned
from byoc_cli.check.static import STATIC, start_rules
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.contract import capabilities, cloud_words, hosting, paths
from byoc_cli.contract import image as manifests

_NAMES = tuple(label.removeprefix(capabilities.PREFIX) for label in capabilities.ALL)


@STATIC.rule("I-01", "its manifest is Docker's, which CreateModel takes", "push it with byoc push, which converts it")
def manifest_here(image: ImageFacts) -> Verdict:
    """As the engine's own push would send it."""
    if not image.manifest:
        return skipped("this engine does not tell what it would push; --registry looks at what is in ECR")
    if image.manifest == manifests.ACCEPTED:
        return passed(f"a push from here sends {image.manifest}")
    return warned(
        f"a plain docker push from here sends {image.manifest}",
        cloud=manifests.refusal(image.manifest, "<uri>"),
    )


@STATIC.rule(
    "I-04", "it is made for the architecture of the instance type", "byoc build, or docker build --platform linux/amd64"
)
def architecture(image: ImageFacts) -> Verdict:
    """linux/amd64, but for Graviton types."""
    seen, wanted = f"{image.image.os}/{image.image.architecture}", f"linux/{image.architecture}"
    if seen == wanted:
        return passed(seen)
    words = ["train", "serve"]
    return failed(
        f"the image is {seen}; SageMaker's hosts run {wanted}",
        f"docker build --platform {wanted} …, or byoc build --platform {wanted}",
        cloud_words.cannot_start(words, cloud_words.WRONG_FORMAT.format(word="train"), 126),
    )


@STATIC.rule(
    "T-60",
    "it runs as root",
    "remove the USER line, or end the Dockerfile with USER root",
    also=("I-09", "H-02"),
)
def runs_as_root(image: ImageFacts) -> Verdict:
    """USER of the configuration."""
    user = image.image.config.user
    if user.partition(":")[0] in {"", "0", "root"}:
        return passed(f"USER {user}" if user else "no USER is set")
    # Hosting takes it, as long as it reads its model and writes to /tmp; a `train` that is not found is meant to train.
    if start_rules.no_use(image, image.train) and not image.train.elsewhere:
        return warned(f"USER {user}: the guide expects root; {paths.MODEL} is root's, and may be read")
    return failed(
        f"USER {user} can write neither {paths.MODEL} nor {paths.OUTPUT}/{paths.FAILURE_FILE}",
        cloud=cloud_words.no_failure_reason(),
    )


@STATIC.rule("I-10", "it is no larger than 10 GB, which serverless takes", "leave out what only the build needs")
def size(image: ImageFacts) -> Verdict:
    """Unpacked, as the engine has it."""
    total = image.image.size
    refusals = hosting.serverless_image_problems(total)
    if not refusals:
        return passed(f"{total / 1e9:.2f} GB unpacked")
    largest = "".join(f"\n{size / 1e9:.1f} GB: {made[:100]}" for size, made in image.layers)
    return warned(
        f"{total / 1e9:.1f} GB unpacked; its largest layers:{largest}",
        cloud="\n".join(refusals),
    )


@STATIC.rule("I-12", "no VOLUME is under /opt/ml, and STOPSIGNAL is SIGTERM", "remove the line from the Dockerfile")
def volume_and_stop_signal(image: ImageFacts) -> Verdict:
    """What no document speaks of is best left out."""
    config, seen, fix = image.image.config, [], []
    for volume in config.volumes:
        place = posixpath.normpath(volume)
        if place == paths.ROOT or f"{place}/".startswith(f"{paths.ROOT}/"):
            seen.append(f"VOLUME {volume} lies where SageMaker mounts its own")
            fix.append(f"remove VOLUME {volume}")
    if config.stop_signal.upper() not in {"", "15", "SIGTERM", "TERM"}:
        seen.append(f"STOPSIGNAL {config.stop_signal}: a stop may send that in the place of SIGTERM")
        fix.append("STOPSIGNAL SIGTERM")
    return warned("\n".join(seen), "\n".join(fix)) if seen else passed("neither is set")


@STATIC.rule("I-14", "labels of capabilities are spelled right and say true", "correct the LABEL line")
def labels(image: ImageFacts) -> Verdict:
    """That an image can do what its labels say is another rule's: H-31, H-35, H-47."""
    given = image.image.labels
    claimed = {name: value for name, value in given.items() if name.lower().startswith(capabilities.PREFIX)}
    wrong = {}
    for name, value in claimed.items():
        if name in capabilities.ALL:
            if value != capabilities.CLAIMED and value.lower() != "false":
                wrong[f"LABEL {name}={value}"] = name
        elif near := _nearest(name, 0.6):  # another one may be newer than this
            wrong[f"LABEL {name} is none of SageMaker's"] = near
    # What nearly begins so: sagemaker.capabilities.multi-models, com.amazonaws.capabilities.multi-models.
    for name in given:
        begins = name in _NAMES or re.search("sagemaker|amazon", name, re.IGNORECASE)
        if name not in claimed and begins and name.endswith(_NAMES):
            wrong[f"LABEL {name} is none of SageMaker's"] = _nearest(name, 0.3)
    if wrong:
        right = list(dict.fromkeys(wrong.values()))
        return failed(
            "\n".join(wrong),
            "\n".join(f"LABEL {name}={capabilities.CLAIMED}" for name in right),
            "\n".join(map(cloud_words.label_missing, right)),
        )
    return passed(", ".join(f"{name}={value}" for name, value in claimed.items()) or "no capability is claimed")


def _nearest(label: str, cutoff: float) -> str:
    near = difflib.get_close_matches(label.rpartition(".")[2].lower(), _NAMES, 1, cutoff)
    return f"{capabilities.PREFIX}{near[0]}" if near else ""


@STATIC.rule("I-16", "a CUDA image says which CUDA it needs", "choose InferenceAmiVersion by it")
def cuda(image: ImageFacts) -> Verdict:
    """For information."""
    environment = image.image.config.environment
    version, needs = environment.get("CUDA_VERSION", ""), environment.get("NVIDIA_REQUIRE_CUDA", "")
    if not version and not needs:
        return skipped("neither CUDA_VERSION nor NVIDIA_REQUIRE_CUDA is set: no CUDA image")
    return passed(f"CUDA {version or needs.partition(' ')[0]}")

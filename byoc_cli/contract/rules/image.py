"""The rules of an image (I-…)."""

from __future__ import annotations

from byoc_cli.contract.rules.rule import (
    FIRST_HAND,
    IN_REAL_JOB,
    NOT_DOCUMENTED,
    api,
    code,
    guide,
    guide_2023,
    issue,
    rule,
)

_DOCKERFILE = guide("your-algorithms-training-algo-dockerfile")
_INFERENCE = guide("your-algorithms-inference-code")
_OCI = (
    issue("aws/amazon-sagemaker-feedback", 180),
    issue("moby/buildkit", 5480),
    issue("mlflow/mlflow", 13834, 14699),
)

RULES = (
    rule(
        "I-01",
        "MUST",
        "CreateModel takes a manifest of the type `application/vnd.docker.distribution.manifest.v2+json` and refuses "
        "OCI ones: `Unsupported manifest media type application/vnd.oci.image.index.v1+json` (or "
        "`…image.manifest.v1+json`) `for image <uri>. Ensure that valid manifest media type is used for specified "
        "image.`",
        *_OCI,
    ),
    rule(
        "I-02",
        "MUST",
        "CreateTrainingJob takes the same OCI image: that a job trains says nothing about hosting.",
        FIRST_HAND,
        when="be known",
    ),
    rule(
        "I-03",
        "SHOULD",
        "Docker Engine 29 and Docker Desktop with the containerd store push an index with an attestation by default, "
        "where `DOCKER_BUILDKIT=0` does not help; `skopeo copy --format v2s2 docker://… docker://…` repairs an image "
        "without a build.",
        *_OCI,
    ),
    rule(
        "I-03b",
        "SHOULD",
        "ECR keeps Docker's schemas 1 and 2 and its lists as well as OCI images and indexes: that it takes a push says "
        "nothing about SageMaker.",
        "the API and the user guide of Amazon ECR",
    ),
    rule(
        "I-04",
        "MUST",
        "Training and all endpoints run linux/amd64, but for Graviton types (`ml.c7g`, `ml.m7g`, …), which need arm64 "
        "or an image for both; a wrong one ends with `exec format error`.",
        guide_2023("realtime-endpoints-graviton"),
        "public issues",
    ),
    rule(
        "I-05",
        "SHOULD",
        "An image's URI has at most 255 characters, `registry/repo[:tag][@digest]`, in ECR of the job's region. "
        "Another registry that needs a login works in a VPC only, with `TrainingRepositoryAccessMode` `Vpc` or "
        "`ImageConfig`.",
        api("AlgorithmImage", "ContainerImage", "TrainingImageConfig"),
    ),
    rule(
        "I-06",
        "MUST",
        "`train` and `serve` are executable, their lines end with LF, and their shebang names an interpreter that is "
        "in the image. With CRLF a job ended with exit code 2 and an empty log, without the x bit with `permission "
        "denied`.",
        _DOCKERFILE,
        "public issues",
        FIRST_HAND,
    ),
    rule(
        "I-07",
        "MUST",
        "The image's PATH has the folder of `train` and `serve` in it, commonly by `ENV PATH=/opt/program:$PATH` or "
        "with `/opt/ml/code`.",
        "AWS's scikit example of an own container",
        _DOCKERFILE,
    ),
    rule(
        "I-08",
        "MUST",
        "`/opt/ml` is SageMaker's: what an image has in `/opt/ml/model`, `/opt/ml/input` or `/opt/ml/output` may be "
        "hidden. `/opt/ml/code`, the toolkit's folder, is the exception, and real jobs show it beside the mounts.",
        _DOCKERFILE,
        IN_REAL_JOB,
    ),
    rule(
        "I-09",
        "MUST",
        "USER is root (T-60); only serverless may run an image as any user (H-65).",
        FIRST_HAND,
        _INFERENCE,
    ),
    rule(
        "I-10",
        "SHOULD",
        "Serverless takes images of up to 10 GB. For real time no number is known but the disk's: 17 GB of image and 8 "
        "GB of model did not fit.",
        guide("serverless-endpoints"),
        issue("aws/sagemaker-pytorch-inference-toolkit", 112),
    ),
    rule(
        "I-11",
        "MUST",
        "An image has the CUDA toolkit, but no NVIDIA driver.",
        _INFERENCE,
        _DOCKERFILE,
        when="for GPU",
    ),
    rule(
        "I-12",
        "NICE",
        "No document speaks of HEALTHCHECK, EXPOSE, VOLUME and STOPSIGNAL. The first two do nothing, `VOLUME "
        "/opt/ml/…` is risky, and another STOPSIGNAL than SIGTERM changes what a stop sends.",
        NOT_DOCUMENTED,
    ),
    rule(
        "I-13",
        "NICE",
        "WORKDIR holds as in Docker, so that relative paths depend on it; a real job of an AWS image had `PWD=/`.",
        IN_REAL_JOB,
    ),
    rule(
        "I-14",
        "MUST",
        "The labels of what an image can do begin with `com.amazonaws.sagemaker.capabilities.` and end with "
        "`accept-bind-to-port=true` (H-31), `multi-models=true` (H-35) or `bidirectional-streaming=true` (H-47).",
        guide_2023("inference-pipeline-real-time", "build-multi-model-build-container"),
        _INFERENCE,
        when="if used",
    ),
    rule(
        "I-15",
        "SHOULD",
        "Linux lets PID 1 ignore a SIGTERM for which it has no handler: a Python `train` without one runs on until "
        "SIGKILL after 120 s.",
        f"the Linux kernel; {NOT_DOCUMENTED}",
        code("aws/sagemaker-training-toolkit") + ", which has no handler",
    ),
    rule(
        "I-16",
        "NICE",
        "`InferenceAmiVersion` chooses a GPU endpoint's driver: `al2-ami-sagemaker-inference-gpu-2` and `-gpu-2-1` "
        "have 535 (CUDA 12.2), `-gpu-3-1` 550 (12.4), `al2023-ami-sagemaker-inference-gpu-4-1` 580 (13.0). From "
        "`-2-1` on, CUDA's compatibility libraries are not mounted.",
        api("ProductionVariant"),
    ),
)

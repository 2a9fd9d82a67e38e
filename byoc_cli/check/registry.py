"""The image as ECR has it (--registry): the manifest that SageMaker will read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from byoc_cli import image_ref
from byoc_cli.check.bench import Bench
from byoc_cli.check.model import NotTried, Step, Verdict, failed, passed, skipped, warned
from byoc_cli.contract import capabilities
from byoc_cli.contract import image as manifests


@dataclass(frozen=True)
class RegistryFacts:
    """What ECR has under a name. `same` tells whether it is the local image; `policy` is the repository's, or ""."""

    uri: str
    region: str
    media_type: str
    digest: str
    same: bool
    policy: str
    labels: Mapping[str, str]


def look(bench: Bench, _: Mapping[str, Any]) -> RegistryFacts:
    """Ask ECR for the manifest; it is read, nothing is written."""
    from byoc_cli.cloud import proof  # late: boto3
    from byoc_cli.cloud.account import account
    from byoc_cli.cloud.ecr import Ecr

    wanted = bench.order.registry
    if wanted is None:
        raise NotTried("--registry was not given")
    ecr = Ecr(account(wanted.region, wanted.profile))
    repository = ecr.repository(wanted.repository)
    there = ecr.manifest(wanted.repository, tag=wanted.tag) if repository else None
    if repository is None or there is None:
        raise NotTried(f"ECR in {wanted.region} has no {wanted.repository}:{wanted.tag}; byoc push puts it there")
    return RegistryFacts(
        uri=f"{repository.uri}:{wanted.tag}",
        region=wanted.region,
        media_type=there.media_type,
        digest=there.digest,
        same=proof.is_it(there, bench.order.image),
        policy=ecr.policy(wanted.repository),
        labels=bench.order.image.labels,
    )


REGISTRY: Step[RegistryFacts] = Step("registry", "registry", "reads the manifest in ECR (--registry)", look, asked=True)


@REGISTRY.rule("I-01", "its manifest in ECR is Docker's, which CreateModel takes", "byoc push, which converts it")
def manifest(registry: RegistryFacts) -> Verdict:
    """What CreateModel will read."""
    if registry.media_type != manifests.ACCEPTED:
        return failed(
            f"{registry.uri} is {registry.media_type}: a training job takes it, an endpoint does not",
            cloud=manifests.refusal(registry.media_type, registry.uri),
        )
    return passed(f"{registry.uri} is {registry.media_type}, {registry.digest}")


@REGISTRY.rule("I-03b", "what is in ECR is the image that was checked", "byoc push")
def same_image(registry: RegistryFacts) -> Verdict:
    """By the digest of its configuration."""
    if registry.media_type != manifests.ACCEPTED:
        return skipped("its manifest has to be Docker's first (I-01)")
    if registry.same:
        return passed(registry.digest)
    return warned(f"{registry.uri} is another image than the one here: {registry.digest}")


@REGISTRY.rule("I-05", "its URI has at most 255 characters, and is of the job's region", "choose a shorter name")
def uri(registry: RegistryFacts) -> Verdict:
    """As ECR spells it."""
    if problem := manifests.uri_problem(registry.uri):
        return warned(problem)
    place = image_ref.parse(registry.uri).ecr
    if place and place[1] != registry.region:
        return warned(
            f"{registry.uri} is in {place[1]}, not in {registry.region}", f"byoc push --region {registry.region}"
        )
    return passed(f"{registry.uri}, {len(registry.uri)} characters")


@REGISTRY.rule(
    "H-33",
    "of an image for pipelines: SageMaker may pull it",
    f"aws ecr set-repository-policy, with {capabilities.PRINCIPAL} as principal of ecr:BatchGetImage",
)
def pulled_by_pipelines(registry: RegistryFacts) -> Verdict:
    """Asked only of an image whose label says that it is for pipelines."""
    if registry.labels.get(capabilities.BIND_TO_PORT) != capabilities.CLAIMED:
        return skipped("the image does not claim to work in pipelines (accept-bind-to-port)")
    if capabilities.PRINCIPAL in registry.policy:
        return passed(f"the repository's policy names {capabilities.PRINCIPAL}")
    said = f"does not name {capabilities.PRINCIPAL}" if registry.policy else "is not there"
    return warned(f"the repository's policy {said}")

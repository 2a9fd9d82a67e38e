"""Push an image to ECR, and prove that SageMaker will take it (I-01 to I-05)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from byoc_cli.cloud import faults, proof
from byoc_cli.cloud.account import Account
from byoc_cli.cloud.ecr import Ecr, Manifest, Repository, tag_is_taken
from byoc_cli.cloud.orders import PushOrder, PushResult, RepositorySettings
from byoc_cli.cloud.scan import check_findings, wait_for_scan
from byoc_cli.contract import image as rules
from byoc_cli.engine import push as door
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.push import PushWatcher
from byoc_cli.engine.push_faults import LoginRefused, PushFailed
from byoc_cli.engine.sending import Log, Sender, Sleep
from byoc_cli.engine.types import Credentials
from byoc_cli.errors import ByocError, MachineError


def check_architecture(order: PushOrder) -> None:
    """See that the image runs on the project's instance types (I-04).

    Raises:
        ByocError: it does not; nothing was sent.

    """
    if order.architecture and order.image.architecture != order.architecture:
        raise ByocError(
            f"'{order.reference}' is {order.image.os}/{order.image.architecture}, "
            f"but the project's instance type runs linux/{order.architecture}\n"
            "the container would end with 'exec format error' (I-04)",
            hint=f"byoc build --platform linux/{order.architecture}, or another train.instance-type in byoc.toml",
        )


class EcrPush:
    """One push to one region: `EcrPush(…).run(order)`."""

    def __init__(
        self, engine: DockerEngine, account: Account, watch: PushWatcher, log: Log, sleep: Sleep = time.sleep
    ) -> None:
        self.account = account
        self.ecr = Ecr(account)
        self.engine = engine
        self._log = log
        self._sleep = sleep
        self._sender = Sender(engine, self._credentials, watch, log, sleep)

    def run(self, order: PushOrder) -> PushResult:
        """Push, read back, compare.

        Raises:
            ByocError: refused by ECR or the registry, or what came out is not what SageMaker takes.

        """
        start = time.monotonic()
        check_architecture(order)
        self._log(f"account {self.account.id}, region {self.account.region}, repository {order.repository}")
        repository, created = self._repository(order)
        there = None if created else self.ecr.manifest(order.repository, tag=order.tag)
        if there and proof.is_it(there, order.image):
            self._log(f"already up to date: {repository.uri}:{order.tag}")
            manifest = there
        else:
            with _in_words_of_aws():
                manifest = self._upload(order, repository, there)
        result = PushResult(
            uri=f"{repository.uri}@{manifest.digest}",
            repository=repository.uri,
            tag=order.tag,
            digest=manifest.digest,
            media_type=manifest.media_type,
            size=manifest.size,
            region=self.account.region,
            account=self.account.id,
            seconds=time.monotonic() - start,
            created=created,
        )
        return replace(self._scanned(order, result) if order.wait_scan else result, seconds=time.monotonic() - start)

    def _scanned(self, order: PushOrder, result: PushResult) -> PushResult:
        """Add the scan's findings; whatever comes of it, the image is in ECR, and is named."""
        try:
            findings = wait_for_scan(self.ecr, order, result.digest, self._log, self._sleep)
            result = replace(result, findings=findings)
            check_findings(findings, order.fail_on)
        except ByocError as error:
            error.message += f"\nit was pushed all the same: {result.uri}"
            error.result = result.data()
            raise
        return result

    def _credentials(self) -> Credentials:
        return Credentials(*self.ecr.login()[1:])

    def _repository(self, order: PushOrder) -> tuple[Repository, bool]:
        """Find the repository, or make it; what is there is never changed."""
        name, settings, created = order.repository, order.settings, False
        found = self.ecr.repository(name)
        if found is None:
            if not settings.create:
                raise ByocError(
                    f"there is no repository '{name}' in {self.account.id}/{self.account.region}\n"
                    "and --no-create says not to make it",
                    hint="leave --no-create out, or give --repository",
                )
            found, created = self.ecr.create(name, settings)
        if created:
            self._log(f"created the repository {name} (scan on push)")
        elif settings != RepositorySettings(create=settings.create):
            self._log("the repository is there already: its settings are left as they are")
        # SageMaker is told the digest, whose 71 characters are longer than most tags.
        for uri in (f"{found.uri}:{order.tag}", f"{found.uri}@sha256:{'0' * 64}"):
            if problem := rules.uri_problem(uri):
                raise ByocError(problem, hint="a shorter --repository or --tag")
        return found, created

    def _upload(self, order: PushOrder, repository: Repository, there: Manifest | None) -> Manifest:
        """Send the image; gives the manifest that ECR has of it, in the form that SageMaker takes."""
        if door.manifest_type(self.engine, order.image.id) != rules.ACCEPTED:
            return self._upload_and_convert(order, repository, there)
        if there and repository.immutable:
            raise tag_is_taken(order.repository, order.tag)
        digest = self._sender.send(order.image.id, repository.uri, order.tag)
        # The classic store calls an image by its config, the containerd store by its manifest.
        config = order.image.id if digest != order.image.id else ""
        return proof.proved(self.ecr, order, repository.uri, digest=digest, config=config)

    def _upload_and_convert(self, order: PushOrder, repository: Repository, there: Manifest | None) -> Manifest:
        """Send it under a name of its own, so that tags may be immutable; what gets the real name is taken."""
        temporary = f"byoc-{secrets.token_hex(6)}"
        with self._deleted(order.repository, temporary) as parts:
            digest = self._sender.send(order.image.id, repository.uri, temporary, keep_name=False)
            sent = proof.sent(self.ecr, order, repository.uri, temporary, digest=digest)
            parts.extend(proof.parts(sent))  # before anything may fail: they are deleted all the same
            found = proof.converted(self.ecr, order, sent)
            if there and there.digest == found.manifest.digest:
                self._log(f"already up to date: {repository.uri}:{order.tag}")
            elif there and repository.immutable:
                raise tag_is_taken(order.repository, order.tag)
            else:
                self.ecr.put(order.repository, order.tag, found.manifest)
                if found.was != rules.ACCEPTED:
                    self._log(f"converted for SageMaker, which refuses {found.was}")
            config = str(found.manifest.content["config"]["digest"])
            return proof.proved(self.ecr, order, repository.uri, digest=found.manifest.digest, config=config)

    @contextmanager
    def _deleted(self, repository: str, tag: str) -> Iterator[list[str]]:
        """Delete a temporary tag at the end, and the parts of the index that it was; a failure hides no other."""
        parts: list[str] = []
        try:
            yield parts
        finally:
            try:
                self.ecr.delete_tag(repository, tag)
                self.ecr.delete_untagged(repository, parts)
            except ByocError as error:
                self._log(f"left behind in ECR: {repository}:{tag} ({error.message.rpartition(chr(10))[2]})")


@contextmanager
def _in_words_of_aws() -> Iterator[None]:
    """A registry's hints are for any registry; ECR's are better."""
    try:
        yield
    except LoginRefused as error:
        error.hint = (
            "ECR refuses a token that AWS has just given: is it a proxy of the engine's that answers? (`docker info`)"
        )
        raise
    except PushFailed as error:
        if hint := faults.permission_hint(error.message):
            raise MachineError(error.message, hint=hint) from error  # as where AWS itself says so
        raise

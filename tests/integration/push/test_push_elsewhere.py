"""Other registries, with the user's own Docker login; and that login for the plain client."""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path

import pytest

from byoc_cli.contract import image as rules
from tests.integration.push.conftest import REGION, Shop, logged_in
from tests.integration.push.ecr import TOKEN
from tests.integration.push.registry import MANIFEST, Registry
from tests.integration.push.test_push_faults import check, plain
from tests.integration.push.test_push_oci import as_manifest

pytestmark = pytest.mark.integration


def helper(folder: Path, text: str) -> str:
    """Make a credential helper, and give a PATH that has it."""
    program = folder / "bin" / "docker-credential-testing"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def configured(folder: Path, content: object) -> str:
    """Make a DOCKER_CONFIG."""
    (folder / "docker").mkdir()
    (folder / "docker" / "config.json").write_text(json.dumps(content))
    return str(folder / "docker")


def test_with_the_user_s_own_login(shop: Shop, hub: Registry) -> None:
    target = f"{hub.host}/{shop.name}:v9"
    ran = shop("push", "--to", target, "--json", "--image-ref-file", "ref", DOCKER_CONFIG=logged_in(shop.home, hub))
    assert ran.code == 0, ran.stderr
    found = hub.manifest(shop.name, "v9")
    assert found
    repository = f"{hub.host}/{shop.name}"
    assert ran.json() == {
        "image": f"{repository}@{found[0]}",
        "repository": repository,
        "tag": "v9",
        "digest": found[0],
        "media_type": MANIFEST,
    }
    assert (shop.folder / "ref").read_text() == f"{repository}@{found[0]}\n"
    assert ran.stderr.startswith(f"pushing {shop.reference} to {target}, with your own Docker login\n")
    assert shop.aws.operations == []


def test_with_a_credential_helper(shop: Shop, hub: Registry) -> None:
    answer = json.dumps({"ServerURL": hub.host, "Username": "AWS", "Secret": hub.password})
    path = helper(shop.home, f"cat >/dev/null; echo '{answer}'")
    config = configured(shop.home, {"credHelpers": {hub.host: "testing"}})
    ran = shop("push", "--to", f"{hub.host}/{shop.name}", DOCKER_CONFIG=config, PATH=path)
    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith(f"{hub.host}/{shop.name}@sha256:")
    assert hub.tags(shop.name) == ["latest"]


@pytest.mark.parametrize(
    ("content", "text", "cause"),
    [
        ({"credsStore": "nowhere"}, "", r".*docker-credential-nowhere not installed or not available in PATH"),
        ({"credsStore": "testing"}, "echo the keychain is locked; exit 1", ".*the keychain is locked.*"),
        ({"credsStore": "testing"}, "cat >/dev/null; echo hello", r"it answers nonsense \(.*\)"),
    ],
)
def test_a_credential_helper_that_is_broken(
    shop: Shop, hub: Registry, content: dict[str, str], text: str, cause: str
) -> None:
    path = helper(shop.home, text)
    config = configured(shop.home, content)
    ran = shop("push", "--to", f"{hub.host}/{shop.name}", DOCKER_CONFIG=config, PATH=path)
    check(
        ran,
        3,
        f"error: the login for {hub.host}/{shop.name} cannot be read",
        f"the credential helper of your Docker configuration fails: {cause}",
        "",
        "hint: install the helper that ~/.docker/config.json names .*, or take its line out",
    )
    assert "Warning" not in ran.stderr


def test_a_docker_configuration_that_is_no_json(shop: Shop, hub: Registry) -> None:
    (shop.home / "config.json").write_text("{ auths")
    ran = shop("push", "--to", f"{hub.host}/{shop.name}", DOCKER_CONFIG=str(shop.home))
    check(
        ran,
        3,
        f"error: {shop.home}/config.json is not valid JSON",
        "Expecting property name .*",
        "",
        "hint: mend it: the docker client reads it, too",
    )


def test_a_broken_helper_does_not_disturb_a_push_to_ecr(shop: Shop) -> None:
    assert shop.push(DOCKER_CONFIG=configured(shop.home, {"credsStore": "nowhere"})).code == 0


def test_a_stale_login_does_not_disturb_a_push_to_ecr(shop: Shop, hub: Registry) -> None:
    assert shop.push(DOCKER_CONFIG=logged_in(shop.home, hub, "of yesterday")).code == 0


@pytest.mark.parametrize("config", ["none", "wrong"])
def test_without_a_login_that_the_registry_knows(shop: Shop, hub: Registry, config: str) -> None:
    folder = logged_in(shop.home, hub, "wrong") if config == "wrong" else str(shop.home)
    ran = shop("push", "--to", f"{hub.host}/{shop.name}", DOCKER_CONFIG=folder)
    check(
        ran,
        3,
        "error: the push failed",
        "no basic auth credentials|unauthorized: authentication required",
        "",
        f"hint: the registry does not know this login: docker login {hub.host}",
    )


def test_an_oci_manifest_elsewhere_is_warned_of(shop: Shop, hub: Registry) -> None:
    hub.rewrite = as_manifest
    ran = shop("push", "--to", f"{hub.host}/{shop.name}:v1", DOCKER_CONFIG=logged_in(shop.home, hub))
    assert ran.code == 0, ran.stderr
    assert f"warning: Unsupported manifest media type {rules.OCI_MANIFEST} for image {hub.host}/{shop.name}:v1" in (
        ran.stderr
    )


@pytest.mark.parametrize("words", [("--region", REGION), ("--wait-scan",), ("--immutable",), ("--tag", "x")])
def test_options_of_ecr_do_not_go_with_it(shop: Shop, words: tuple[str, ...]) -> None:
    ran = shop("push", "--to", "registry.example/x:v1", *words)
    check(ran, 2, *plain("error: --to is for other registries, and goes with none of the options for ECR"))


def test_a_profile_of_the_environment_is_no_option(shop: Shop) -> None:
    ran = shop("push", "--to", "registry.example/x:v1", "--dry-run", BYOC_PROFILE="team")
    assert (ran.code, ran.stdout) == (0, f"push {shop.reference} to registry.example/x:v1\n")


def test_it_goes_to_a_tag(shop: Shop) -> None:
    ran = shop("push", "--to", f"registry.example/x@sha256:{'0' * 64}")
    assert (ran.code, "a push goes to a tag, not to a digest" in ran.error) == (2, True)


def test_a_dry_run_does_nothing(shop: Shop, hub: Registry) -> None:
    ran = shop("push", "--to", f"{hub.host}/{shop.name}", "--dry-run")
    assert ran.stdout == f"push {shop.reference} to {hub.host}/{shop.name}:latest\n"
    assert hub.requests == []


# -- byoc login -------------------------------------------------------------------------------------------------------


def test_the_plain_client_is_logged_in(shop: Shop, hub: Registry) -> None:
    if not shutil.which("docker"):
        pytest.skip("there is no docker client")
    ran = shop("login", "--region", REGION)
    assert ran.code == 0, ran.stderr
    assert ran.stdout == f"{hub.host}\n"
    auths = json.loads((shop.home / ".docker" / "config.json").read_text())["auths"]
    assert base64.b64decode(auths[hub.host]["auth"]).decode() == f"AWS:{TOKEN}"
    assert TOKEN not in ran.stdout + ran.stderr
    assert shop("push", "--to", f"{hub.host}/{shop.name}").code == 0


def test_a_client_that_refuses(shop: Shop, hub: Registry) -> None:
    folder = shop.home / "bin"
    folder.mkdir()
    (folder / "docker").write_text('#!/bin/sh\nread token; echo "cannot keep $token" >&2; exit 1\n')
    (folder / "docker").chmod(0o755)
    ran = shop("login", "--region", REGION, PATH=f"{folder}:{os.environ['PATH']}")
    check(ran, 3, *plain(f"error: docker login to {hub.host} failed", "cannot keep …"))


def test_a_client_whose_credential_helper_is_broken(shop: Shop) -> None:
    if not shutil.which("docker"):
        pytest.skip("there is no docker client")
    ran = shop("login", "--region", REGION, DOCKER_CONFIG=configured(shop.home, {"credsStore": "nowhere"}))
    assert ran.code == 3
    assert "docker-credential-nowhere" in ran.error
    assert "\n\nhint: mend the helper that ~/.docker/config.json names" in ran.error
    assert TOKEN not in ran.stderr


def test_no_docker_client(shop: Shop) -> None:
    ran = shop("login", "--region", REGION, PATH=str(shop.home))
    check(
        ran,
        3,
        *plain("error: there is no docker client on PATH", "", "hint: install the docker CLI; byoc push needs none"),
    )

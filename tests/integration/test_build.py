"""`byoc build` on the real engine: every builder, what is said before and after, what never enters an image."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import tarfile
from pathlib import Path

import docker
import pytest

from byoc_cli.engine import builders
from byoc_cli.errors import MachineError
from tests.integration.conftest import Aws
from tests.integration.world import BASE, STAND_IN, Byoc, copied, wait_for

pytestmark = pytest.mark.integration

BUILDERS = ("buildx", "buildkit", "classic")


@pytest.fixture(params=BUILDERS)
def builder(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An environment that forces a builder, and a temporary folder of its own to look into afterwards."""
    name = str(request.param)
    try:
        builders.find({"PATH": os.environ["PATH"], "BYOC_BUILDER": name})
    except MachineError as error:
        pytest.skip(error.message)
    (tmp_path / "temporary").mkdir()
    return {"BYOC_BUILDER": name, "TMPDIR": str(tmp_path / "temporary")}


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    return copied("steps", tmp_path)


def run_in(client: docker.DockerClient, image: str, *words: str) -> str:
    """Run a program of an image; nothing is kept."""
    return str(client.containers.run(image, list(words), remove=True, network_mode="none").decode())


def dangling(client: docker.DockerClient) -> set[str]:
    return {tag for row in client.api.images() for tag in row["RepoTags"] or [] if tag.startswith("byoc-secrets:")}


def test_each_builder_makes_the_same_image(
    byoc: Byoc, builder: dict[str, str], steps: Path, tag: str, docker_client: docker.DockerClient
) -> None:
    (steps / ".byoc/runs/old/model").mkdir(parents=True)
    (steps / ".byoc/runs/old/model/weights").write_text("large")
    (steps / "left-out").write_text("left out by the user's own .dockerignore")
    (steps / ".dockerignore").write_text("left-out\n")
    before = sorted(steps.rglob("*"))

    ran = byoc("build", "--tag", f"byoc-steps:{tag}", "--build-arg", "COLOR=a b=c", cwd=steps, env=builder)

    assert (ran.code, ran.stdout) == (0, f"byoc-steps:{tag}\n"), ran.stderr
    assert ran.stderr.count(f"{BASE}: BASE_IMAGE={STAND_IN}, the local stand-in\n") == 1
    name = {
        "buildx": r"BuildKit \(docker buildx \d+",
        "buildkit": r"BuildKit \(docker \d+",
        "classic": "the classic builder",
    }
    assert len(re.findall(rf"^building \S+ with {name[builder['BYOC_BUILDER']]}.*$", ran.stderr, re.MULTILINE)) == 1
    assert re.search(r"^\[small 2/3\] RUN|^\[\d/\d+\] RUN", ran.stderr, re.MULTILINE), "steps are numbered"
    files = run_in(docker_client, f"byoc-steps:{tag}", "sh", "-c", "cat /color; find /last -type f | sort")
    assert files.splitlines() == ["a b=c", "/last/.dockerignore", "/last/Dockerfile"]
    image = docker_client.images.get(f"byoc-steps:{tag}").attrs
    assert (image["Os"], image["Architecture"]) == ("linux", "amd64")
    after = sorted(path for path in steps.rglob("*") if "builds" not in path.parts and path.name != ".gitignore")
    assert after == before, "nothing in the user's tree is changed"
    assert list(Path(builder["TMPDIR"]).iterdir()) == []
    assert dangling(docker_client) == set()


def test_a_failing_step_shows_its_last_20_lines(byoc: Byoc, builder: dict[str, str], steps: Path) -> None:
    ran = byoc("build", "--target", "failing", cwd=steps, env=builder)

    assert (ran.code, ran.stdout) == (1, "")
    first, *shown, code, empty, hint = ran.error.splitlines()
    assert re.match(r"error: the build failed at \[(failing )?\d+/\d+\] RUN for n in", first)
    assert len(shown) == 20
    # The classic builder gives the two streams of a step in either order.
    assert sorted(shown) == sorted(["  it cannot be done", *(f"  line {n} of the step" for n in range(12, 31))])
    assert (code, empty) == ("exit code 42", "")
    log = Path(hint.removeprefix("hint: full output: "))
    assert log.is_relative_to(steps / ".byoc" / "builds")
    assert {"line 1 of the step", "it cannot be done"} <= set(log.read_text().splitlines())
    assert list(Path(builder["TMPDIR"]).iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_build(
    byoc: Byoc,
    builder: dict[str, str],
    steps: Path,
    tag: str,
    docker_client: docker.DockerClient,
    number: signal.Signals,
    code: int,
) -> None:
    words = (
        "build",
        "--target",
        "slow",
        "--tag",
        f"byoc-never:{tag}",
        "--build-arg",
        f"SECONDS={100 + number}.1",
        "-v",
    )
    live = byoc.start(*words, cwd=steps, env=builder)
    live.until("    begun")
    if number == signal.SIGINT:
        live.ctrl_c()
    else:
        live.send(number)

    ran = live.end()

    assert (ran.code, ran.stdout) == (code, "")
    assert "Traceback" not in ran.stderr
    assert ran.stderr.endswith("the build was stopped; the steps that ended are in the builder's cache\n")
    assert docker_client.api.images(f"byoc-never:{tag}") == []
    assert list(Path(builder["TMPDIR"]).iterdir()) == [], "no Dockerfile and no secret is left behind"
    assert dangling(docker_client) == set()
    if builder["BYOC_BUILDER"] != "buildx" and os.geteuid() == 0:
        wait_for(lambda: not sleeping(f"{100 + number}.1"), 60, lambda: "the step goes on in the engine")


def test_after_a_kill_the_build_ends_and_clean_removes_what_it_left(
    byoc: Byoc, builder: dict[str, str], steps: Path, tag: str, docker_client: docker.DockerClient
) -> None:
    env = builder | {"PIP_INDEX_URL": "https://someone:PASSWORD-MARKER@packages.invalid/simple"}
    words = ("build", "--target", "slow", "--tag", f"byoc-never:{tag}", "--build-arg", "SECONDS=109.1", "-v")
    live = byoc.start(*words, cwd=steps, env=env)
    live.until("    begun")
    temporary = Path(builder["TMPDIR"])
    assert byoc("clean", "--yes", "--json", cwd=steps, env=env).json()["folders"] == [], "it is in use"
    left = {str(path) for path in temporary.iterdir()}
    held = dangling(docker_client)
    assert left
    assert bool(held) == (builder["BYOC_BUILDER"] == "classic")
    live.send(signal.SIGKILL)
    live.process.wait()

    cleaned = byoc("clean", "--yes", "--json", cwd=steps, env=env).json()

    assert set(cleaned["folders"]) == left
    assert list(temporary.iterdir()) == []
    assert held <= set(cleaned["images"])
    assert held & dangling(docker_client) == set()
    if builder["BYOC_BUILDER"] != "buildx" and os.geteuid() == 0:
        wait_for(lambda: not sleeping("109.1"), 60, lambda: "the step goes on in the engine")
    assert docker_client.api.images(f"byoc-never:{tag}") == []


def sleeping(seconds: str) -> bool:
    return subprocess.run(["pgrep", "-f", f"^sleep {seconds}$"], capture_output=True, check=False).returncode == 0


# -- secrets ----------------------------------------------------------------------------------------------------------


def unpacked(client: docker.DockerClient, image: str) -> dict[str, bytes]:
    """Give all that `docker save` has: its own files, and each file of each layer."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(client.images.get(image).save()))) as saved:
        for member in saved:
            data = saved.extractfile(member)
            found[member.name] = data.read() if data else b""
    for name in json.loads(found["manifest.json"])[0]["Layers"]:
        with tarfile.open(fileobj=io.BytesIO(found[name])) as layer:
            for member in layer:
                data = layer.extractfile(member)
                found[f"{name}: {member.name}"] = data.read() if data else b""
    return found


def test_secrets_are_there_for_the_build_and_stay_in_no_layer(
    byoc: Byoc, builder: dict[str, str], tmp_path: Path, tag: str, docker_client: docker.DockerClient
) -> None:
    project = copied("secrets", tmp_path)
    (tmp_path / "company.pem").write_text("-----BEGIN CERTIFICATE-----\nCERTIFICATE-MARKER\n")
    (tmp_path / "extra").write_text("EXTRA-MARKER\n")
    env = builder | {
        "PIP_CERT": str(tmp_path / "company.pem"),
        "PIP_INDEX_URL": "https://someone:PASSWORD-MARKER@packages.invalid/simple",
    }

    ran = byoc(
        "build",
        "--tag",
        f"byoc-secrets-test:{tag}",
        "--no-cache",
        "--secret",
        "id=extra,src=../extra",
        cwd=project,
        env=env,
    )

    assert ran.code == 0, ran.stderr
    found = unpacked(docker_client, f"byoc-secrets-test:{tag}")
    seen = next(data for name, data in found.items() if name.endswith(": seen")).decode().splitlines()
    assert seen[0] == f"{hashlib.sha256((tmp_path / 'company.pem').read_bytes()).hexdigest()}  /run/secrets/ca"
    assert seen[1].endswith("/run/secrets/pipconf")
    assert seen[2].startswith(hashlib.sha256(b"EXTRA-MARKER\n").hexdigest())
    markers = (b"CERTIFICATE-MARKER", b"PASSWORD-MARKER", b"EXTRA-MARKER")
    assert [name for name, data in found.items() if any(marker in data for marker in markers)] == []
    assert not any("run/secrets/ca" in name for name in found)
    history = json.dumps(docker_client.images.get(f"byoc-secrets-test:{tag}").history())
    written = ran.stderr + ran.stdout + history + "".join(log.read_text() for log in project.glob(".byoc/builds/*"))
    assert not any(marker.decode() in written for marker in markers)
    assert list(Path(builder["TMPDIR"]).iterdir()) == []
    assert dangling(docker_client) == set()


# -- before the build -------------------------------------------------------------------------------------------------


def test_without_a_dockerfile_nothing_is_built(byoc: Byoc, tmp_path: Path) -> None:
    ran = byoc("build", cwd=tmp_path)
    assert (ran.code, ran.stdout) == (2, "")
    assert f"error: there is no Dockerfile in {tmp_path}" in ran.stderr
    assert "hint: " in ran.stderr
    assert list(tmp_path.iterdir()) == []

    elsewhere = byoc("build", "no-such-folder", cwd=tmp_path)
    assert elsewhere.code == 2
    assert "no-such-folder" in elsewhere.error


def test_an_unreadable_context_is_named(byoc: Byoc, tmp_path: Path, unprivileged: tuple[str, ...]) -> None:
    project = copied("steps", tmp_path)
    (project / "closed").mkdir(mode=0o000)
    ran = byoc("build", cwd=project, before=unprivileged)
    assert ran.code == 1
    assert f"permission denied: {project}/closed" in ran.error
    assert ".dockerignore" in ran.error
    (project / "closed").chmod(0o700)


def test_a_large_context_names_the_three_biggest(byoc: Byoc, tmp_path: Path) -> None:
    project = copied("steps", tmp_path)
    (project / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    for name, megabytes in (("data", 150), ("checkpoints", 60), ("pictures", 30), ("code", 1)):
        (project / name).mkdir()
        with (project / name / "large").open("wb") as file:
            file.truncate(megabytes * 1_000_000)  # sparse: it takes no space

    ran = byoc("build", "--tag", "x y", cwd=project)
    assert ran.code == 2
    ran = byoc("build", "--target", "nonesuch", cwd=project, env={"BYOC_BUILDER": "nonesuch"})

    assert ran.code == 2, "a builder that does not exist: nothing is sent"
    assert "the build context has 241 MB and there is no .dockerignore" in ran.stderr
    assert "the biggest: data (150 MB), checkpoints (60 MB), pictures (30 MB)\n" in ran.stderr
    (project / ".dockerignore").write_text("data\n")
    assert "241 MB" not in byoc("build", cwd=project, env={"BYOC_BUILDER": "nonesuch"}).stderr


def test_costly_mistakes_are_warnings_with_the_line_to_add(byoc: Byoc, tmp_path: Path, tag: str) -> None:
    project = copied("steps", tmp_path)
    (project / "Dockerfile").write_text(f"FROM {STAND_IN}\nWORKDIR /opt/program\nCOPY . .\n")
    (project / "train").write_bytes(b"#!/bin/sh\r\necho hello\r\n")
    (project / "serve").write_text("#!/bin/sh\n")
    (project / "serve").chmod(0o755)
    before = {path: path.read_bytes() for path in project.iterdir()}

    ran = byoc("build", "--tag", f"byoc-mistakes:{tag}", cwd=project)

    assert ran.code == 0, ran.stderr
    assert "warning: train has Windows line ends" in ran.stderr
    assert "RUN sed -i 's/\\r$//' /opt/program/train\n" in ran.stderr
    assert "warning: train is not executable" in ran.stderr
    assert "RUN chmod +x /opt/program/train\n" in ran.stderr
    assert "serve" not in ran.stderr
    assert {path: path.read_bytes() for path in project.iterdir() if path.name != ".byoc"} == before
    assert (project / "train").stat().st_mode & 0o111 == 0


# -- the builder's command line ---------------------------------------------------------------------------------------


def test_the_flags_that_keep_the_manifest_acceptable(byoc: Byoc, tmp_path: Path, steps: Path) -> None:
    """The media types themselves only show on a containerd image store: here the flags, through a client that tells."""
    client = tmp_path / "bin" / "docker"
    client.parent.mkdir()
    client.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = version ]; then echo github.com/docker/buildx v0.13.1 x; exit 0; fi\n'
        f'printf "%s\\n" "$@" "$BUILDX_NO_DEFAULT_ATTESTATIONS" >>{tmp_path}/words\necho "ERROR: enough" >&2\nexit 1\n'
    )
    client.chmod(0o755)
    env = {"PATH": f"{client.parent}:{os.environ['PATH']}", "BYOC_BUILDER": "buildx"}

    ran = byoc("build", "--platform", "linux/arm64", "--no-cache", "--pull", "--target", "small", cwd=steps, env=env)

    assert ran.code == 1
    assert "enough" in ran.error
    words = (tmp_path / "words").read_text().splitlines()
    assert words[:2] == ["buildx", "build"]
    assert {"--provenance=false", "--sbom=false", "--no-cache", "--pull"} <= set(words)
    assert "type=image,oci-mediatypes=false" in words
    assert words[words.index("--platform") + 1] == "linux/arm64"
    assert words[words.index("--target") + 1] == "small"
    assert words[-2:] == [str(steps), "1"]


# -- a base image in ECR ----------------------------------------------------------------------------------------------

ECR = "123456789012.dkr.ecr.us-west-2.amazonaws.com"


@pytest.fixture
def from_ecr(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(f"FROM {ECR}/base:1\n")
    return tmp_path


def test_a_base_in_ecr_without_credentials(byoc: Byoc, from_ecr: Path, tmp_path: Path) -> None:
    ran = byoc("build", cwd=from_ecr, env={"HOME": str(tmp_path / "home")})
    assert (ran.code, ran.stdout) == (3, "")
    assert ECR in ran.error
    assert "AWS credentials" in ran.error
    assert "hint: `aws configure`" in ran.error


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_base_in_ecr_is_logged_in_for(byoc: Byoc, from_ecr: Path, tmp_path: Path, aws: Aws, kind: str) -> None:
    home = tmp_path / "home"
    (home / ".docker").mkdir(parents=True)
    (home / ".docker/config.json").write_text('{"auths": {}, "detachKeys": "ctrl-x"}')
    env = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_ENDPOINT_URL": aws.url, "HOME": str(home)}

    ran = byoc("build", cwd=from_ecr, env=env | {"BYOC_BUILDER": kind})

    assert aws.operations() == ["GetAuthorizationToken"]
    # There is no such registry: the pull fails, and the error names the image.
    assert (ran.code, ran.stdout) == (1, "")
    assert f"{ECR}/base:1" in ran.error
    assert "Traceback" not in ran.stderr
    assert (home / ".docker/config.json").read_text() == '{"auths": {}, "detachKeys": "ctrl-x"}', "never written"
    assert [path.name for path in home.rglob("*")] == [".docker", "config.json"]

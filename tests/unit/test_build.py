"""A build from end to end, but for the builder: a docker client of our own, and an engine's API of our own."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import docker
import pytest

from byoc_cli.engine.build import BuildFailed, BuildRequest, build
from byoc_cli.engine.build.classic import _credential_store_works
from byoc_cli.engine.builders import Builder
from byoc_cli.engine.client_config import logged_in
from byoc_cli.engine.docker_engine import DockerEngine
from byoc_cli.engine.types import Credentials
from byoc_cli.errors import Interrupted, MachineError
from tests.fakes import FakeEngine
from tests.unit.test_build_progress import PLAIN, RAW, Seen

HOST = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
PASSWORD = "s3cr3t \"quoted\" $HOME `x` \\ 'y' ü"


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    project = tmp_path / "project"
    (project / ".byoc" / "runs").mkdir(parents=True)
    (project / ".byoc" / "runs" / "log.txt").touch()
    (project / "Dockerfile").write_text("FROM base:1\nRUN make\n")
    (project / "train").write_text("#!/bin/sh\n")
    return BuildRequest(
        folder=project,
        dockerfile=project / "Dockerfile",
        tag="my-model:latest",
        platform="linux/amd64",
        log=project / ".byoc" / "builds" / "build.log",
    )


def changed(request: BuildRequest, **changes: Any) -> BuildRequest:
    return BuildRequest(**{**request.__dict__, **changes})


# -- the docker CLI ----------------------------------------------------------------------------------------------------


@dataclass
class Cli:
    """A docker client that says `says` and ends with `code`; it remembers what it was told."""

    folder: Path
    version: tuple[int, ...] = (0, 13, 1)

    def builder(self, kind: str, says: str, code: int = 0) -> Builder:
        (self.folder / "says").write_text(says + "\n")
        script = self.folder / "docker"
        script.write_text(
            "#!/bin/sh\n"
            f"cd {self.folder}\n"
            'for word; do printf "%s\\n" "$word"; done > words\n'
            "env > environment\n"
            'while [ "$1" != --file ]; do shift; done\n'
            'cp "$2" Dockerfile; cp "$2.dockerignore" ignored\n'
            f"cat says >&2\nexit {code}\n"
        )
        script.chmod(0o755)
        return Builder(kind, str(script), self.version)  # type: ignore[arg-type]

    @property
    def words(self) -> list[str]:
        return (self.folder / "words").read_text().splitlines()

    @property
    def environment(self) -> str:
        return (self.folder / "environment").read_text()


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    (tmp_path / "cli").mkdir()
    return Cli(tmp_path / "cli")


@pytest.fixture
def engine(tmp_path: Path) -> DockerEngine:
    fake = FakeEngine(tmp_path / "engine")
    fake.add_image("my-model:latest")
    return cast("DockerEngine", fake)


GOOD = "\n".join(json.dumps(status) for status in RAW[:6])
BAD = "\n".join(json.dumps(status) for status in RAW) + "\nERROR: failed to solve: exit code: 7"


def test_buildx_is_told_what_sagemaker_needs(cli: Cli, engine: DockerEngine, request_: BuildRequest) -> None:
    image = build(engine, cli.builder("buildx", GOOD), request_, Seen())
    assert image.tags == ["my-model:latest"]
    assert cli.words == [
        *["buildx", "build", "--builder", "default", "--provenance=false", "--sbom=false"],
        *["--output", "type=image,oci-mediatypes=false", "--progress", "rawjson", "--platform", "linux/amd64"],
        *["--tag", "my-model:latest", "--file", cli.words[-2], str(request_.folder)],
    ]
    assert "BUILDX_NO_DEFAULT_ATTESTATIONS=1" in cli.environment


def test_a_builder_that_the_user_chose_loads_its_result(
    cli: Cli, engine: DockerEngine, request_: BuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDX_BUILDER", "mine")
    build(engine, cli.builder("buildx", GOOD), request_, Seen())
    assert "--builder" not in cli.words
    assert "type=docker,oci-mediatypes=false" in cli.words


def test_every_option_reaches_the_client(
    cli: Cli, engine: DockerEngine, request_: BuildRequest, tmp_path: Path
) -> None:
    request = changed(
        request_,
        args={"A": "1 2", "B": ""},
        secrets={"ca": tmp_path / "ca.pem"},
        target="final",
        no_cache=True,
        pull=True,
        platform="linux/arm64",
    )
    build(engine, cli.builder("buildx", GOOD), request, Seen())
    options = cli.words[cli.words.index("--build-arg") : -1]
    assert options == [
        *["--build-arg", "A=1 2", "--build-arg", "B=", "--secret", f"id=ca,src={tmp_path / 'ca.pem'}"],
        *["--target", "final", "--no-cache", "--pull"],
    ]
    assert cli.words[cli.words.index("--platform") + 1] == "linux/arm64"


def test_an_old_client_s_own_buildkit(cli: Cli, engine: DockerEngine, request_: BuildRequest) -> None:
    cli.version = (20, 10, 24)
    seen = Seen()
    build(engine, cli.builder("buildkit", PLAIN), request_, seen)
    assert cli.words[:3] == ["build", "--progress", "plain"]
    assert "DOCKER_BUILDKIT=1" in cli.environment
    assert ("started", "6", "[3/3] RUN echo three; exit 7") in seen.events


def test_buildx_before_rawjson(cli: Cli, engine: DockerEngine, request_: BuildRequest) -> None:
    cli.version = (0, 12, 1)
    build(engine, cli.builder("buildx", PLAIN), request_, Seen())
    assert cli.words[cli.words.index("--progress") + 1] == "plain"


def test_byoc_s_folder_is_ignored_and_the_user_s_tree_untouched(
    cli: Cli, engine: DockerEngine, request_: BuildRequest
) -> None:
    (request_.folder / ".dockerignore").write_text("data\n!.byoc")
    before = sorted(path.name for path in request_.folder.iterdir())
    build(engine, cli.builder("buildx", GOOD), request_, Seen())
    assert (cli.folder / "ignored").read_text() == "data\n!.byoc\n.byoc\n.byoc/**\n"
    assert (cli.folder / "Dockerfile").read_text() == "FROM base:1\nRUN make\n"
    assert sorted(path.name for path in request_.folder.iterdir()) == before


def test_the_log_has_it_all(cli: Cli, engine: DockerEngine, request_: BuildRequest) -> None:
    with pytest.raises(BuildFailed):
        build(engine, cli.builder("buildx", BAD, 1), request_, Seen())
    assert request_.log.read_text() == (
        "=> [1/4] FROM docker.io/library/base:1\n"
        "   cached: [1/4] FROM docker.io/library/base:1\n"
        "=> [2/4] RUN echo one && echo two >&2\n"
        "one\ntwo\ufffd\n"
        "   0.5 s: [2/4] RUN echo one && echo two >&2\n"
        "=> [3/4] RUN exit 7\n"
        '   failed: process "/bin/sh -c exit 7" did not complete successfully: exit code: 7\n'
        "ERROR: failed to solve: exit code: 7\n"
    )


def _failing(lines: int, error: str) -> str:
    log = base64.b64encode(b"".join(b"line %d\n" % number for number in range(lines))).decode()
    step = {"digest": "a", "name": "[2/2] RUN make", "started": "2026-11-23T19:13:23Z"}
    cancelled = {"digest": "b", "name": "[1/2] RUN other", "started": "2026-11-23T19:13:23Z"}
    events: list[Any] = [
        {"vertexes": [step, cancelled]},
        {"logs": [{"vertex": "a", "stream": 1, "data": log}]},
        {"vertexes": [cancelled | {"completed": "2026-11-23T19:13:24Z", "error": "context canceled"}]},
        {"vertexes": [step | {"completed": "2026-11-23T19:13:24Z", "error": error}]},
    ]
    return "\n".join(json.dumps(event) for event in events) + "\nERROR: failed to solve: " + error


def test_a_failure_shows_the_step_its_last_20_lines_and_the_exit_code(
    cli: Cli, engine: DockerEngine, request_: BuildRequest
) -> None:
    says = _failing(30, 'process "/bin/sh -c make" did not complete successfully: exit code: 2')
    with pytest.raises(BuildFailed) as caught:
        build(engine, cli.builder("buildx", says, 1), request_, Seen())
    lines = caught.value.message.splitlines()
    assert lines[0] == "the build failed at [2/2] RUN make"
    assert lines[1:-1] == [f"  line {number}" for number in range(10, 30)]
    assert lines[-1] == "exit code 2"
    assert caught.value.hint == f"full output: {request_.log}"


def test_a_failure_before_any_step_shows_the_builder_s_word(
    cli: Cli, engine: DockerEngine, request_: BuildRequest
) -> None:
    says = "ERROR: failed to solve: dockerfile parse error on line 1: unknown instruction: FORM\n\n"
    with pytest.raises(BuildFailed) as caught:
        build(engine, cli.builder("buildx", says, 1), request_, Seen())
    assert caught.value.message == "the build failed\ndockerfile parse error on line 1: unknown instruction: FORM"


def test_a_syntax_line_that_no_registry_answers_has_a_remedy(
    cli: Cli, engine: DockerEngine, request_: BuildRequest
) -> None:
    vertex = {
        "digest": "a",
        "name": "resolve image config for docker.io/docker/dockerfile:1",
        "started": "2026-11-23T19:13:23Z",
        "completed": "2026-11-23T19:13:24Z",
        "error": "no such host",
    }
    with pytest.raises(BuildFailed) as caught:
        build(engine, cli.builder("buildx", json.dumps({"vertexes": [vertex]}), 1), request_, Seen())
    assert "`# syntax=…`" in caught.value.hint
    assert caught.value.hint.endswith(f"full output: {request_.log}")


def test_a_client_that_says_nothing(cli: Cli, engine: DockerEngine, request_: BuildRequest) -> None:
    with pytest.raises(BuildFailed, match="the build failed\nthe builder ended"):
        build(engine, cli.builder("buildx", "", 1), request_, Seen())


def test_a_build_without_an_image_is_a_failure(cli: Cli, engine: DockerEngine, request_: BuildRequest) -> None:
    with pytest.raises(BuildFailed, match="there is no image 'other:1'"):
        build(engine, cli.builder("buildx", GOOD), changed(request_, tag="other:1"), Seen())


def test_an_interrupt_cancels_the_client_and_goes_on(cli: Cli, engine: DockerEngine, request_: BuildRequest) -> None:
    builder = cli.builder("buildx", GOOD)
    script = Path(builder.client)
    waiting = "trap 'touch cancelled; exit 1' INT\ncat says\nwhile :; do sleep 0.02; done\n"
    script.write_text(f"#!/bin/sh\ncd {cli.folder}\n{waiting}")

    class Impatient(Seen):
        def started(self, step: str, title: str) -> None:
            super().started(step, title)
            raise Interrupted(2)

    with pytest.raises(Interrupted):
        build(engine, builder, request_, Impatient())
    assert (cli.folder / "cancelled").exists()


# -- a login for one build ---------------------------------------------------------------------------------------------


def ask(environment: dict[str, str], host: str) -> dict[str, str]:
    """Ask the credential helper as the docker CLI does."""
    helper = ["docker-credential-byoc", "get"]
    whole = {**os.environ, **environment}
    # The program is looked up in the PATH of this process, not of the child.
    helper[0] = str(Path(environment["DOCKER_CONFIG"]) / helper[0])
    ran = subprocess.run(helper, input=host, env=whole, capture_output=True, text=True, check=True)
    return dict(json.loads(ran.stdout))


@pytest.mark.parametrize("line_end", ["", "\n"])
def test_the_helper_answers_for_its_host(line_end: str) -> None:
    other = "1.dkr.ecr.eu-west-1.amazonaws.com"
    with logged_in({HOST: Credentials("AWS", PASSWORD), other: Credentials("AWS", "other")}) as environment:
        assert ask(environment, HOST + line_end) == {"ServerURL": HOST, "Username": "AWS", "Secret": PASSWORD}
        assert ask(environment, other + line_end)["Secret"] == "other"
        assert environment["PATH"].startswith(environment["DOCKER_CONFIG"] + os.pathsep)


def test_no_secret_is_written_to_disk_and_nothing_stays() -> None:
    with logged_in({HOST: Credentials("AWS", "s3cr3t-p4ss")}) as environment:
        folder = Path(environment["DOCKER_CONFIG"])
        written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        encoded = base64.b64encode(b"AWS:s3cr3t-p4ss")
        assert b"s3cr3t" not in written
        assert encoded not in written
        assert (folder / "config.json").stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_the_rest_of_the_user_s_configuration_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {
        "auths": {"example.com": {"auth": "eDp5"}, HOST: {"auth": "b2xk"}},
        "credHelpers": {"gcr.io": "gcloud"},
        "currentContext": "mine",
    }
    (tmp_path / "contexts").mkdir()
    (tmp_path / "config.json").write_text(json.dumps(own))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with logged_in({HOST: Credentials("AWS", "x")}) as environment:
        folder = Path(environment["DOCKER_CONFIG"])
        assert (folder / "contexts").resolve() == tmp_path / "contexts"
        assert json.loads((folder / "config.json").read_text()) == {
            "auths": {"example.com": {"auth": "eDp5"}},
            "credHelpers": {"gcr.io": "gcloud", HOST: "byoc"},
            "currentContext": "mine",
        }
    assert json.loads((tmp_path / "config.json").read_text()) == own
    assert (tmp_path / "contexts").is_dir()


def test_a_broken_docker_configuration_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{,}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(MachineError, match=r"config\.json is not valid JSON"), logged_in({}):
        pass


def test_credentials_do_not_show_themselves() -> None:
    assert "s3cr3t" not in repr(Credentials("AWS", "s3cr3t"))


def test_the_client_of_a_build_with_a_login_finds_it(cli: Cli, engine: DockerEngine, request_: BuildRequest) -> None:
    request = changed(request_, credentials={HOST: Credentials("AWS", "s3cr3t")})
    build(engine, cli.builder("buildx", GOOD), request, Seen())
    assert "s3cr3t" not in "\n".join(cli.words)
    assert "s3cr3t" not in request.log.read_text()
    assert "BYOC_LOGIN_763104351884_dkr_ecr_us_east_1_amazonaws_com=" in cli.environment


# -- the classic API, through the real docker-py -----------------------------------------------------------------------


@dataclass
class Api:
    """As much of an engine's HTTP API as a classic build asks for."""

    says: list[dict[str, Any]] = field(default_factory=lambda: [{"stream": "Step 1/1 : FROM base:1"}])
    asked: list[str] = field(default_factory=list)
    context: dict[str, bytes] = field(default_factory=dict)
    logins: dict[str, Any] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes, logins: str) -> bytes:
        self.asked.append(f"{method} {path}")
        if "/images/create" in path:
            self.secrets = sorted(_contents(body))
            return b'{"status": "sha256:1"}'
        if "/build" in path:
            self.context = _contents(body)
            self.logins = json.loads(base64.urlsafe_b64decode(logins)) if logins else {}
            return b"".join(json.dumps(line).encode() + b"\r\n" for line in self.says)
        if method == "DELETE":
            return b"[]"
        return json.dumps({"Id": "sha256:1", "RepoTags": ["my-model:latest"], "Os": "linux"}).encode()


def _contents(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {member.name: cast("Any", opened.extractfile(member)).read() for member in opened if member.isreg()}


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def classic(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], DockerEngine]]:
    """Connects the real docker-py to the API."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            data = api.answer(self.command, self.path, body, self.headers.get("X-Registry-Config", ""))
            self.send_response(200)
            # Chunked, as the engine streams; docker-py decodes line by line only then.
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names of the base class

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    engines: list[DockerEngine] = []

    def connect() -> DockerEngine:
        engines.append(DockerEngine(docker.APIClient(f"tcp://127.0.0.1:{server.server_port}", version="1.41")))
        return engines[-1]

    yield connect
    for engine in engines:
        engine.api.close()
    server.shutdown()
    server.server_close()
    thread.join()


CLASSIC = Builder("classic")


def test_the_classic_context_has_no_runs_and_a_rewritten_dockerfile(
    api: Api, classic: Callable[[], DockerEngine], request_: BuildRequest
) -> None:
    request_.dockerfile.write_text("FROM base:1\nRUN --mount=type=cache,target=/c make\n")
    assert build(classic(), CLASSIC, request_, Seen()).id == "sha256:1"
    (name,) = [name for name in api.context if name.startswith(".byoc-")]
    assert api.context[name] == b"FROM base:1\nRUN make\n"
    assert {"Dockerfile", "train"} <= set(api.context)
    assert not [name for name in api.context if name.startswith(".byoc/")]
    (asked,) = [line for line in api.asked if "/build?" in line]
    assert f"dockerfile={name}" in asked
    assert "t=my-model%3Alatest" in asked
    assert "platform=linux%2Famd64" in asked
    assert "forcerm=True" in asked


def test_a_classic_failure_names_step_lines_and_code(
    api: Api, classic: Callable[[], DockerEngine], request_: BuildRequest
) -> None:
    api.says = [
        {"stream": "Step 1/1 : RUN make"},
        {"stream": "\n"},
        {"stream": "no rule\n"},
        {"error": "The command '/bin/sh -c make' returned a non-zero code: 2"},
    ]
    with pytest.raises(BuildFailed) as caught:
        build(classic(), CLASSIC, request_, Seen())
    assert caught.value.message == "the build failed at [1/1] RUN make\n  no rule\nexit code 2"


class Interrupting(Seen):
    """Is interrupted when a step prints something."""

    def output(self, step: str, text: str) -> None:
        super().output(step, text)
        if text.strip():
            raise KeyboardInterrupt


def test_the_container_of_an_interrupted_step_is_removed(
    api: Api, classic: Callable[[], DockerEngine], request_: BuildRequest
) -> None:
    """The engine would remove it, too, but in its own time: byoc would be gone before."""
    api.says = [
        {"stream": "Step 1/1 : RUN make"},
        {"stream": "\n"},
        {"stream": " ---> Running in f46b6c458087\n"},
        {"stream": "begun\n"},
    ]
    with pytest.raises(KeyboardInterrupt):
        build(classic(), CLASSIC, request_, Interrupting())
    assert [line.partition("?")[0] for line in api.asked if line.startswith("DELETE ")] == [
        "DELETE /v1.41/containers/f46b6c458087"
    ]


def test_a_step_that_ended_leaves_nothing_to_remove(
    api: Api, classic: Callable[[], DockerEngine], request_: BuildRequest
) -> None:
    api.says = [
        {"stream": "Step 1/2 : RUN make"},
        {"stream": " ---> Running in f46b6c458087\n"},
        {"stream": "Step 2/2 : RUN echo"},
        {"stream": "begun\n"},
    ]
    with pytest.raises(KeyboardInterrupt):
        build(classic(), CLASSIC, request_, Interrupting())
    assert not [line for line in api.asked if line.startswith("DELETE ")]


def test_secrets_are_held_in_an_image_that_goes_whatever_happens(
    api: Api, classic: Callable[[], DockerEngine], request_: BuildRequest, tmp_path: Path
) -> None:
    (tmp_path / "pip.conf").write_text("[global]\n")
    request_.dockerfile.write_text(
        "FROM base:1 AS a\nRUN --mount=type=secret,id=pipconf,target=/etc/pip.conf make\nFROM a\n"
    )
    api.says = [{"error": "boom"}]
    with pytest.raises(BuildFailed):
        build(classic(), CLASSIC, changed(request_, secrets={"pipconf": tmp_path / "pip.conf"}), Seen())
    assert api.secrets == ["pipconf"]
    dockerfile = next(data for name, data in api.context.items() if name.startswith(".byoc-")).decode()
    holder = dockerfile.split("COPY --from=")[1].split()[0]
    assert holder.startswith("byoc-secrets:")
    assert f"COPY --from={holder} /pipconf /etc/pip.conf\nRUN make" in dockerfile
    assert any(line.startswith("DELETE ") and holder in line for line in api.asked)


def test_a_classic_build_sends_its_own_login_only(
    api: Api,
    classic: Callable[[], DockerEngine],
    request_: BuildRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"example.com": {"auth": "eDp5"}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine = classic()
    build(engine, CLASSIC, changed(request_, credentials={HOST: Credentials("AWS", "s3cr3t")}), Seen())
    assert api.logins == {HOST: {"username": "AWS", "password": "s3cr3t"}}
    build(engine, CLASSIC, request_, Seen())
    assert list(api.logins) == ["example.com"]


def test_a_credential_store_whose_helper_is_missing_is_no_obstacle(
    api: Api,
    classic: Callable[[], DockerEngine],
    request_: BuildRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guards the private attribute of docker-py that the way around it uses."""
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "byoc-test-not-installed"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine = classic()
    assert not _credential_store_works(engine.api)
    with pytest.raises(Exception, match="not installed"):
        engine.api.build(fileobj=io.BytesIO(), custom_context=True)
    assert build(engine, CLASSIC, request_, Seen()).id == "sha256:1"
    assert not _credential_store_works(engine.api), "the user's own store is put back"

"""Channels whose data is in S3: listed, downloaded once, kept. S3 is moto's, behind a front that counts and harms."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import botocore.session
import pytest
import requests

from byoc_cli.cloud import s3
from byoc_cli.errors import ByocError, MachineError, UsageError
from tests.integration.conftest import Aws, Build
from tests.integration.world import Byoc, job_of, make_project, wait_for

pytestmark = pytest.mark.integration

BUCKET = "data"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x" * 40}
DOWNLOAD = """
import sys
from contextlib import nullcontext
from byoc_cli.cloud import s3
client = s3.connect()
listed = s3.listing(client, sys.argv[1])
print(s3.folder(client, listed, print, lambda label, total: nullcontext(lambda amount: None)))
"""


@dataclass
class Answer:
    """An answer on its way to byoc; a test changes it. `cut`: so many bytes are sent, then the connection is closed."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: int | None = None


Harm = Callable[[str, Answer], None]


def nothing(*_: object) -> None:
    """Do nothing."""


@dataclass
class Front:
    """What byoc takes for S3."""

    url: str
    seen: list[str] = field(default_factory=list)
    page: int = 1000
    before: Callable[..., None] = nothing
    harm: Callable[..., None] = nothing

    def gets(self) -> list[str]:
        """The keys that were downloaded since the last look."""
        found = sorted({key for key in self.seen if key})
        self.seen.clear()
        return found


def error(code: str, message: str = "said", status: int = 403) -> Harm:
    """S3's own words for an error."""

    def harm(key: str, answer: Answer) -> None:
        answer.status = status
        answer.headers = {"Content-Type": "application/xml"}
        answer.body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()

    return harm


def of_objects(harm: Harm) -> Harm:
    return lambda key, answer: harm(key, answer) if key else None


def of_listings(harm: Harm) -> Harm:
    return lambda key, answer: None if key else harm(key, answer)


@pytest.fixture
def front(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Front]:
    """A front of moto; byoc in this process is told of it."""
    made = Front("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key = unquote(urlsplit(self.path).path).partition("/")[2].partition("/")[2]
            made.seen.append(key)
            made.before(key)
            page = f"&max-keys={made.page}" if "list-type=" in self.path else ""
            there = requests.get(f"{aws.url}{self.path}{page}", headers=dict(self.headers), timeout=60)
            answer = Answer(there.status_code, dict(there.headers), there.content)
            made.harm(key, answer)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in {"content-length", "connection", "transfer-encoding", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut])
            self.close_connection = self.close_connection or answer.cut is not None

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    for name, value in environment(made, tmp_path).items():
        monkeypatch.setenv(name, value)
    yield made
    server.shutdown()
    server.server_close()


def environment(front: Front, folder: Path) -> dict[str, str]:
    return {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": front.url,
        "AWS_REGION": "us-west-2",
        "AWS_CONFIG_FILE": str(folder / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
        "AWS_MAX_ATTEMPTS": "2",
        "HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


@dataclass(frozen=True)
class Bucket:
    """The bucket, as its owner sees it."""

    client: Any

    def put(self, **objects: str | bytes) -> None:
        """Write objects; nothing else is there afterwards that the test did not write."""
        for key, body in objects.items():
            self.client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)


@pytest.fixture
def bucket(front: Front, aws: Aws) -> Iterator[Bucket]:
    requests.post(f"{aws.url}/moto-api/reset", timeout=60)
    client: Any = botocore.session.get_session().create_client("s3", region_name="us-west-2", endpoint_url=aws.url)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    yield Bucket(client)
    client.close()


@dataclass
class Meter:
    """A progress that counts."""

    label: str = ""
    total: int = 0
    done: int = 0

    @contextmanager
    def __call__(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        self.label, self.total = label, total

        def advance(amount: int) -> None:
            self.done += amount

        yield advance


def fetch(uri: str, names: tuple[str, ...] | None = None, meter: Meter | None = None) -> Path:
    client = s3.connect()
    try:
        return s3.folder(client, s3.listing(client, uri, names), nothing, meter or Meter())
    finally:
        client.close()


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def leftovers(tmp_path: Path) -> list[Path]:
    """What a download that was broken off left, and would be taken for data or fill the disk."""
    cache = tmp_path / "cache/byoc/s3" / BUCKET
    return [*cache.glob("objects/*/*.*"), *cache.glob("channels/making-*")]


# -- what is where ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("s3://data/in/", {"a.csv": "1", "b/ü c.csv": "2", "b/.hidden": "3"}),
        ("s3://data/in", {"in/a.csv": "1", "in/b/ü c.csv": "2", "in/b/.hidden": "3", "input/x": "4"}),
        ("s3://data/inp", {"input/x": "4"}),
        ("s3://data/input", {"x": "4"}),  # all is below input/
        ("s3://data/in/b", {"ü c.csv": "2", ".hidden": "3"}),
        ("s3://data/in/a.csv", {"a.csv": "1"}),
        ("s3://data/in/a", {"a.csv": "1"}),
        ("s3://data", {"in/a.csv": "1", "in/b/ü c.csv": "2", "in/b/.hidden": "3", "input/x": "4", "z": "5"}),
        ("s3://data/", {"in/a.csv": "1", "in/b/ü c.csv": "2", "in/b/.hidden": "3", "input/x": "4", "z": "5"}),
    ],
)
def test_t58_the_tree_below_the_prefix_is_kept(bucket: Bucket, uri: str, wanted: dict[str, str]) -> None:
    bucket.put(**{"in/a.csv": "1", "in/b/ü c.csv": "2", "in/b/.hidden": "3", "input/x": "4", "z": "5"})
    bucket.put(**{"in/": "", "in/b/": "", "in/empty/": ""})  # as a console draws folders
    listed = s3.listing(s3.connect(), uri)
    assert {listed.root + name for name in listed.files} == {f"s3://data/{one.key}" for one in listed.files.values()}
    assert content(fetch(uri)) == wanted


def test_t56_of_a_folder_only_what_is_listed_is_downloaded(bucket: Bucket, front: Front) -> None:
    bucket.put(**{"in/a": "1", "in/b/c": "2", "in/d": "3", "in/b/cc": "4"})
    front.gets()
    assert content(fetch("s3://data/in/", ("b/c", "a"))) == {"a": "1", "b/c": "2"}
    assert front.gets() == ["in/a", "in/b/c"]
    with pytest.raises(UsageError, match=r"there is no object s3://data/in/e, and 1 more\nthe manifest lists it"):
        fetch("s3://data/in/", ("a", "e", "f"))


def test_more_keys_than_one_page(bucket: Bucket, front: Front) -> None:
    wanted = {f"{number}": f"{number}" for number in range(7)}
    bucket.put(**{f"in/{name}": body for name, body in wanted.items()})
    front.page = 2
    assert content(fetch("s3://data/in/")) == wanted
    assert front.seen.count("") == 4
    # Of a folder with a million objects not all pages are read for a few names.
    assert content(fetch("s3://data/in/", ("0", "1"))) == {"0": "0", "1": "1"}
    assert front.seen.count("") == 5


def test_an_object_that_is_deleted_meanwhile(bucket: Bucket, front: Front) -> None:
    bucket.put(**{"in/a": "x"})
    front.before = lambda key: bucket.delete(key) if key else None
    assert fails(ByocError).message.startswith("s3://data/in/a cannot be downloaded\nNoSuchKey: ")


def test_large_objects_come_in_parts_and_are_counted(bucket: Bucket, front: Front) -> None:
    large = b"".join(number.to_bytes(4, "little") for number in range(5_000_000))
    bucket.put(**{"in/large": large})
    bucket.put(**{"in/small": "x", "in/empty": ""})
    front.gets()
    meter = Meter()
    folder = fetch("s3://data/in/", meter=meter)
    assert (folder / "large").read_bytes() == large
    assert (folder / "empty").read_bytes() == b""
    assert front.seen.count("in/large") > 1
    assert (meter.done, meter.total, meter.label) == (len(large) + 1, len(large) + 1, "downloading s3://data/in/")


def test_a_page_of_html_is_an_object_as_any_other(bucket: Bucket) -> None:
    bucket.client.put_object(Bucket=BUCKET, Key="in/a.html", Body="<p>", ContentType="text/html")
    assert content(fetch("s3://data/in/")) == {"a.html": "<p>"}


# -- once -------------------------------------------------------------------------------------------------------------


def test_only_what_was_changed_is_downloaded_again(bucket: Bucket, front: Front) -> None:
    bucket.put(**{"in/a": "1", "in/b": "2", "in/c": "3"})
    first = fetch("s3://data/in/")
    assert front.gets() == ["in/a", "in/b", "in/c"]
    assert fetch("s3://data/in/") == first
    assert front.gets() == []
    bucket.put(**{"in/b": "4", "in/d": "5"})
    bucket.delete("in/c")
    second = fetch("s3://data/in/")
    assert front.gets() == ["in/b", "in/d"]
    assert content(second) == {"a": "1", "b": "4", "d": "5"}
    assert content(first) == {"a": "1", "b": "2", "c": "3"}, "a job that runs keeps what it has"
    assert (first / "a").samefile(second / "a")


def test_another_prefix_of_the_same_objects_downloads_nothing(bucket: Bucket, front: Front) -> None:
    bucket.put(**{"in/b/c": "1"})
    fetch("s3://data/in/")
    front.gets()
    assert content(fetch("s3://data/in/b/")) == {"c": "1"}
    assert front.gets() == []


def test_two_at_once_do_not_disturb_each_other(bucket: Bucket, front: Front, tmp_path: Path) -> None:
    bucket.put(**{f"in/{number}": str(number) * 100_000 for number in range(10)})
    processes = [child(front, tmp_path) for _ in range(3)]
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    [folder] = {text.splitlines()[-1] for text, _ in said}
    assert content(Path(folder)) == {str(number): str(number) * 100_000 for number in range(10)}
    assert leftovers(tmp_path) == []


def child(front: Front, tmp_path: Path) -> subprocess.Popen[str]:
    """A process of its own that downloads."""
    return subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD, "s3://data/in/"],
        env=environment(front, tmp_path) | {"AWS_EC2_METADATA_DISABLED": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_download_leaves_nothing_that_is_taken_for_data(bucket: Bucket, front: Front, tmp_path: Path) -> None:
    bucket.put(**{"in/a": "whole", "in/b": "x" * 300_000})
    arrived, go = threading.Event(), threading.Event()

    def stall(key: str, answer: Answer) -> None:
        if key == "in/b":
            arrived.set()
            go.wait(60)

    front.harm = stall
    process = child(front, tmp_path)
    assert arrived.wait(60)
    objects = tmp_path / "cache/byoc/s3/data/objects"
    # What is not whole yet has a dot in its name.
    wait_for(lambda: "whole" in [path.read_text() for path in objects.glob("*/*") if "." not in path.name])
    process.kill()
    process.communicate()
    go.set()
    front.harm = nothing
    front.gets()
    assert content(fetch("s3://data/in/")) == {"a": "whole", "b": "x" * 300_000}
    assert front.gets() == ["in/b"], "what was whole is not downloaded again"


def test_ctrl_c_ends_a_download(bucket: Bucket, front: Front, actor: str, byoc: Byoc, tmp_path: Path) -> None:
    bucket.put(**{"in/a": "whole"} | {f"in/{number}": "x" * 300_000 for number in range(30)})
    stalled, go = threading.Semaphore(0), threading.Event()

    def stall(key: str, answer: Answer) -> None:
        if key not in {"", "in/a"}:
            stalled.release()
            go.wait(60)
            answer.cut = 1000

    front.harm = stall
    project = make_project(tmp_path / "project", actor)
    live = byoc.start("local-train", "-c", "x=s3://data/in/", cwd=project, env=environment(front, tmp_path))
    for _ in range(9):
        assert stalled.acquire(timeout=60)
    live.ctrl_c()
    time.sleep(2)  # that it was heard cannot be seen
    go.set()
    ran = live.end()
    assert ran.code == 130, ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(front.gets()) < 15, "nothing more is asked for"
    assert leftovers(tmp_path) == []
    assert not (project / ".byoc").exists()


def test_a_connection_that_breaks_is_tried_again(bucket: Bucket, front: Front, tmp_path: Path) -> None:
    bucket.put(**{"in/a": "x" * 300_000})
    times = iter([100_000, 0, None])

    def cut(key: str, answer: Answer) -> None:
        if key:
            answer.cut = next(times)

    front.harm = cut
    meter = Meter()
    assert content(fetch("s3://data/in/", meter=meter)) == {"a": "x" * 300_000}
    assert meter.done == 300_000
    assert leftovers(tmp_path) == []


def test_a_connection_that_always_breaks_is_told(bucket: Bucket, front: Front, tmp_path: Path) -> None:
    bucket.put(**{"in/a": "x" * 300_000})

    def cut(key: str, answer: Answer) -> None:
        answer.cut = 100_000 if key else None

    front.harm = cut
    with pytest.raises(MachineError, match="s3://data/in/a cannot be downloaded") as caught:
        fetch("s3://data/in/")
    assert caught.value.hint == "try again: what is downloaded stays"
    assert leftovers(tmp_path) == []
    front.harm = nothing
    assert content(fetch("s3://data/in/")) == {"a": "x" * 300_000}


def test_an_object_that_is_changed_meanwhile_is_not_taken(bucket: Bucket, front: Front) -> None:
    bucket.put(**{"in/a": "old"})

    def change(key: str) -> None:
        if key:
            bucket.put(**{"in/a": "new"})

    front.before = change
    with pytest.raises(ByocError, match="s3://data/in/a was changed while it was downloaded"):
        fetch("s3://data/in/")
    front.before = nothing
    assert content(fetch("s3://data/in/")) == {"a": "new"}


# -- what is wrong ----------------------------------------------------------------------------------------------------


def fails(kind: type[ByocError], uri: str = "s3://data/in/") -> ByocError:
    with pytest.raises(ByocError) as caught:
        fetch(uri)
    assert type(caught.value) is kind, caught.value.message
    assert caught.value.hint
    return caught.value


def test_no_credentials(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    assert fails(MachineError).message.startswith("there are no AWS credentials\n")
    assert front.seen == []


def test_nothing_is_there(bucket: Bucket) -> None:
    bucket.put(**{"in/": "", "other": "x"})
    found = fails(UsageError)
    assert found.message == (
        "there are no objects at s3://data/in/\nlooked for keys that begin with 'in/' in the bucket 'data'"
    )
    assert found.hint == "aws s3 ls --recursive s3://data/in/"


def test_no_such_bucket(bucket: Bucket) -> None:
    found = fails(UsageError, "s3://nobody-has-this/in/")
    assert found.message.startswith("s3://nobody-has-this/in/ cannot be listed\nNoSuchBucket: ")


@pytest.mark.parametrize("uri", ["s3://", "s3:///x", "s3://My_Bucket/x", "s3://a/x"])
def test_no_name_of_a_bucket(front: Front, uri: str) -> None:
    assert fails(UsageError, uri).message.startswith(f"{uri} is wrong\n")
    assert front.seen == []


def test_a_listing_that_is_denied_names_the_right(bucket: Bucket, front: Front) -> None:
    bucket.put(**{"in/a": "x"})
    front.harm = error("AccessDenied", "Access Denied")
    found = fails(MachineError)
    assert found.message == "s3://data/in/ cannot be listed\nAccessDenied: Access Denied"
    assert '"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::data"' in found.hint


def test_an_object_that_is_denied_names_the_right(bucket: Bucket, front: Front, tmp_path: Path) -> None:
    bucket.put(**{"in/a": "x", "in/b": "y"})
    front.harm = of_objects(error("AccessDenied", "Access Denied"))
    found = fails(MachineError)
    assert found.message == "s3://data/in/a cannot be downloaded\nAccessDenied: Access Denied"
    assert '"Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/in/a"' in found.hint
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("harm", "kind", "hint"),
    [
        (of_listings(error("PermanentRedirect", status=301)), UsageError, "the bucket is in another region"),
        (of_listings(error("AuthorizationHeaderMalformed", status=400)), UsageError, "the bucket is in another region"),
        (of_listings(error("ExpiredToken", status=400)), MachineError, "your AWS credentials have expired"),
        (of_listings(error("InvalidAccessKeyId")), MachineError, "AWS does not know these credentials"),
        (of_objects(error("InvalidObjectState")), ByocError, "it is archived"),
        (of_objects(error("SlowDown", status=503)), ByocError, "AWS asks for fewer requests"),
    ],
)
def test_what_s3_says(bucket: Bucket, front: Front, harm: Harm, kind: type[ByocError], hint: str) -> None:
    bucket.put(**{"in/a": "x"})
    front.harm = harm
    assert fails(kind).hint.startswith(hint)


def test_a_page_of_something_in_between(bucket: Bucket, front: Front) -> None:
    def page(key: str, answer: Answer) -> None:
        answer.headers, answer.body = {"Content-Type": "text/html"}, b"<html>log in first</html>"

    front.harm = page
    assert "not AWS but something in between answered" in fails(MachineError).message


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("in/../../x", "its key leads out of its folder"),
        ("in/./x", "its key leads out of its folder"),
        ("in//etc/passwd", "its key is an absolute path"),
        ("in/a//b", "its key has two slashes in a row"),
    ],
)
def test_a_key_that_is_no_file_here(bucket: Bucket, front: Front, key: str, why: str, tmp_path: Path) -> None:
    bucket.put(**{"in/a": "x"})

    # Whatever a client makes of such a key: this is what a listing says of it.
    def rename(_: str, answer: Answer) -> None:
        answer.body = answer.body.replace(b"<Key>in/a</Key>", f"<Key>{key}</Key>".encode())

    front.harm = of_listings(rename)
    with pytest.raises(UsageError, match=f"cannot be a file here\n{why}"):
        fetch("s3://data/in/")
    assert not (tmp_path / "cache").exists()


def test_a_key_that_is_a_file_and_a_folder(bucket: Bucket) -> None:
    bucket.put(**{"in/a": "1", "in/a/b": "2"})
    found = fails(UsageError)
    assert found.message == "s3://data/in/a cannot be a file here\nit would be the folder of 'a/b', too"


def test_more_than_the_disk_holds(bucket: Bucket, front: Front) -> None:
    bucket.put(**{"in/a": "x"})

    def grow(key: str, answer: Answer) -> None:
        answer.body = re.sub(rb"<Size>\d+</Size>", b"<Size>900000000000000000</Size>", answer.body)

    front.harm = of_listings(grow)
    assert "900,000,000,000 MB are to be downloaded, and" in fails(MachineError).message
    assert [key for key in front.seen if key] == []


def test_a_cache_that_cannot_be_written_to(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put(**{"in/a": "x"})
    (tmp_path / "cache").write_text("no folder")
    found = fails(MachineError)
    assert found.message.startswith("s3://data/in/ cannot be kept on this machine\n")


# -- the command ------------------------------------------------------------------------------------------------------


def test_a_job_finds_what_is_in_s3(bucket: Bucket, front: Front, actor: str, byoc: Byoc, tmp_path: Path) -> None:
    bucket.put(**{"in/a.csv": "1", "in/b/c.csv": "2", "in/d.csv": "3"})
    project = make_project(
        tmp_path / "project",
        actor,
        '[train.channels]\ntraining = { source = "s3://data/in", content-type = "text/csv" }\n',
    )
    (project / "some.manifest").write_text('[{"prefix": "s3://data/in/"}, "b/c.csv", "a.csv"]')
    words = ("local-train", "--hyperparam", "act=look", "-c", "some=s3://data/in/,manifest=some.manifest")
    ran = byoc(*words, cwd=project, env=environment(front, tmp_path))
    assert ran.code == 0, ran.stderr
    assert "s3://data/in: downloading 3 objects (0.0 MB) of 3 objects (0.0 MB)" in ran.stderr
    seen = json.loads((job_of(project, ran).folder / "output/data/seen.json").read_text())
    assert seen["data"] == {
        "training/a.csv": "1",
        "training/b/c.csv": "2",
        "training/d.csv": "3",
        "some/a.csv": "1",
        "some/b/c.csv": "2",
    }
    assert seen["manifests"] == {
        "training-manifest": "in\ns3://data/in/a.csv\ns3://data/in/b/c.csv\ns3://data/in/d.csv\n",
        "some-manifest": "in/\ns3://data/in/b/c.csv\ns3://data/in/a.csv\n",
    }
    assert sorted(front.gets()) == ["in/a.csv", "in/b/c.csv", "in/d.csv"]
    again = byoc(*words, cwd=project, env=environment(front, tmp_path))
    assert again.code == 0, again.stderr
    assert "s3://data/in: 3 objects (0.0 MB), downloaded before" in again.stderr
    assert front.gets() == []


@pytest.mark.parametrize(
    ("path", "code"), [("s3://data/in", 2), ("s3://data/inp", 2), ("s3://data/input", 0), ("s3://data/z", 0)]
)
def test_t59_fast_file_needs_a_whole_folder(
    bucket: Bucket, front: Front, actor: str, byoc: Byoc, tmp_path: Path, path: str, code: int
) -> None:
    bucket.put(**{"in/a": "1", "input/x": "2", "z": "3"})
    project = make_project(tmp_path / "project", actor)
    words = ("local-train", "--hyperparam", "act=look", "-c", f"x={path},mode=FastFile")
    ran = byoc(*words, cwd=project, env=environment(front, tmp_path))
    assert ran.code == code, ran.stderr
    if code:
        assert f"mode=FastFile needs a whole folder, and {path} is only the beginning of a key (T-59)" in ran.error
        assert not (project / ".byoc").exists(), "no run was begun"
        assert front.gets() == []


def test_what_is_missing_is_said_before_a_run_is_begun(
    bucket: Bucket, front: Front, actor: str, byoc: Byoc, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", actor)
    ran = byoc("local-train", "-c", "x=s3://data/nothing/", cwd=project, env=environment(front, tmp_path))
    assert (ran.code, ran.stdout) == (2, "")
    assert "there are no objects at s3://data/nothing/" in ran.error
    assert not (project / ".byoc").exists()


# -- a batch job's input ----------------------------------------------------------------------------------------------


def test_a_prefix_is_the_input_of_a_batch_job(
    bucket: Bucket, front: Front, byoc: Byoc, build: Build, tmp_path: Path
) -> None:
    bucket.put(**{"in/a.csv": "a", "in/b/ü c.csv": "b", "in/empty/": "", "other": "x"})
    project = make_project(tmp_path / "project", build("batcher"))
    ran = byoc("batch", "s3://data/in/", "--out", "out", cwd=project, env=environment(front, tmp_path))
    assert (ran.code, ran.stdout) == (0, "out\n"), ran.stderr
    assert content(project / "out") == {"a.csv.out": "A", "b/ü c.csv.out": "B"}

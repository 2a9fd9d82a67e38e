"""What every engine does, the real one and the fake: the same tests for both.

A subclass gives the fixtures `engine` and `image`; the image has the programs of PROGRAMS.
"""

from __future__ import annotations

import io
import secrets
import signal
import socket
import tarfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest

from byoc_cli.engine.types import (
    JOB_LABEL,
    KIND_LABEL,
    PROJECT_LABEL,
    CannotStart,
    Container,
    ContainerGone,
    ContainerSpec,
    Engine,
    Mount,
    NameTaken,
    Stream,
    SubnetTaken,
)
from byoc_cli.errors import ByocError, MachineError
from tests.fakes import Box, Program, not_executable

Printed = Generator[tuple[Stream, bytes], None, int]


def _talk(_: Box) -> Printed:
    for number in range(3):
        yield "stdout", b"out %d\n" % number
        yield "stderr", b"err %d\n" % number
    yield "stdout", b"no newline"
    return 0


def _fail(_: Box) -> Printed:
    yield "stderr", b"broken\n"
    return 7


def _many(_: Box) -> Printed:
    for number in range(20_000):
        yield "stdout", b"line %d\n" % number
    return 0


def _bytes(_: Box) -> Printed:
    yield "stdout", b"\xff\x00\xfe\n"
    return 0


def _read(box: Box) -> Printed:
    yield "stdout", box.path("/opt/ml/input/config/a.json").read_bytes()
    return 0


def _write(box: Box) -> Printed:
    model = box.path("/opt/ml/model")
    (model / "1").mkdir()
    (model / "1" / "weights").write_bytes(b"abc")
    (model / "link").symlink_to("1/weights")
    yield from ()
    return 0


def _greet(box: Box) -> Printed:
    yield "stdout", f"{box.environment['GREETING']} from {box.hostname}\n".encode()
    return 0


def _who(box: Box) -> Printed:
    yield "stdout", f"{box.user or '0:0'}\n".encode()
    return 0


def _room(box: Box) -> Printed:
    yield "stdout", f"{box.cpus} {box.memory} {box.shm_size}\n".encode()
    return 0


def _polite(box: Box) -> Printed:
    yield "stdout", b"ready\n"
    box.wait_for_signal()
    yield "stdout", b"bye\n"
    return 3


def _stubborn(box: Box) -> Printed:
    yield "stdout", b"ready\n"
    while True:
        box.wait_for_signal()


def _listen(box: Box) -> Printed:
    with socket.create_server((box.address, box.port(8080))) as server:
        server.settimeout(0.05)
        yield "stdout", b"ready\n"
        while True:
            box.check()
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.sendall(b"hello")


_LISTEN = r"""exec python3 -c '
import socket
server = socket.create_server(("0.0.0.0", 8080))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"hello")
    connection.close()
'"""

# Memory is 0 without a limit: cgroup v1 has a number near 2^63 for it, v2 the word "max".
_ROOM = r"""for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
  [ -r $file ] && memory=$(cat $file)
done
if [ "$memory" = max ] || [ "$memory" -gt 1000000000000000000 ]; then memory=0; fi
echo $(nproc) $memory $(df --block-size=1 --output=size /dev/shm | tail -n 1)"""

PROGRAMS: dict[str, tuple[Program, str]] = {
    "talk": (_talk, "for n in 0 1 2; do echo out $n; echo err $n >&2; done; printf 'no newline'"),
    "fail": (_fail, "echo broken >&2; exit 7"),
    "many": (_many, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"),
    "bytes": (_bytes, r"printf '\377\000\376\n'"),
    "read": (_read, "cat /opt/ml/input/config/a.json"),
    "write": (_write, "cd /opt/ml/model && mkdir 1 && printf abc > 1/weights && ln -s 1/weights link"),
    "greet": (_greet, 'echo "$GREETING from $(hostname)"'),
    "who": (_who, "echo $(id -u):$(id -g)"),
    "room": (_room, _ROOM),
    "polite": (_polite, "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"),
    "stubborn": (_stubborn, "trap '' TERM; echo ready; while :; do sleep 0.05; done"),
    "listen": (_listen, _LISTEN),
    "forbidden": (not_executable, "echo never"),
}
"""The same program for the fake and as a shell script; the script of `not_executable` has no execute bit."""


def tar(files: dict[str, bytes], folders: tuple[str, ...] = (), links: Mapping[str, str] | None = None) -> bytes:
    """A tar of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for folder in folders:
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            opened.addfile(member)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o640
            opened.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            opened.addfile(member)
    return buffer.getvalue()


def _untar(chunks: Iterator[bytes]) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as opened:
        return {member.name.rstrip("/"): member for member in opened}


def _of(stream: str, pieces: list[tuple[Stream, bytes]]) -> bytes:
    return b"".join(data for name, data in pieces if name == stream)


def _eventually(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < end:
        time.sleep(0.02)
    return seen


class EngineContract:
    """The tests. `project` is fresh for each, so that only its own things are seen."""

    @pytest.fixture
    def project(self, engine: Engine) -> Iterator[str]:
        name = f"/contract/{secrets.token_hex(4)}"
        yield name
        for thing in sorted(
            engine.things(project=name), key=lambda each: ["container", "network", "volume"].index(each.type)
        ):
            engine.remove(thing)

    @pytest.fixture
    def make(self, engine: Engine, image: str, project: str) -> Callable[..., Container]:
        """`make("talk", mounts=[…])` creates a container of the image."""

        def create(*command: str, name: str = "", **more: Any) -> Container:
            labels = {PROJECT_LABEL: project, KIND_LABEL: "train", JOB_LABEL: "job-1"}
            name = name or f"byoc-contract-{secrets.token_hex(6)}"
            return engine.create(ContainerSpec(image=image, command=command, name=name, labels=labels, **more))

        return create

    # -- images ------------------------------------------------------------------------------------------------------

    def test_an_image_is_found_by_name_and_by_id(self, engine: Engine, image: str) -> None:
        found = engine.image(image)
        assert found is not None
        assert found.id.startswith("sha256:")
        assert (found.os, found.architecture) == ("linux", "amd64")
        again = engine.image(found.id)
        assert again is not None
        assert again.id == found.id
        assert found.tagged > 1.6e9

    def test_a_touched_image_got_its_name_now(self, engine: Engine, image: str) -> None:
        engine.touch(image)
        found = engine.image(image)
        assert found
        assert abs(found.tagged - time.time()) < 30

    def test_an_image_that_is_not_there_is_none(self, engine: Engine) -> None:
        assert engine.image("byoc-contract/nothing:here") is None

    def test_no_image_is_an_error_with_the_build_as_hint(self, engine: Engine, project: str) -> None:
        spec = ContainerSpec("byoc-contract/nothing:here", ["x"], "byoc-contract-none", {PROJECT_LABEL: project})
        with pytest.raises(ByocError, match="there is no image 'byoc-contract/nothing:here'") as caught:
            engine.create(spec)
        assert caught.value.hint == "byoc build"

    def test_no_stand_in_is_an_empty_text(self, engine: Engine) -> None:
        assert engine.stand_in("byoc-contract/nothing:here") == ""

    def test_the_engine_says_what_it_is(self, engine: Engine) -> None:
        info = engine.info()
        assert info.version
        assert info.cpus > 0
        assert info.memory > 1 << 20
        assert info.architecture == "amd64"
        assert not info.remote

    # -- output and end ----------------------------------------------------------------------------------------------

    def test_streams_are_apart_each_in_its_order_and_complete(self, make: Callable[..., Container]) -> None:
        container = make("talk")
        container.start()
        pieces = list(container.output())
        assert _of("stdout", pieces) == b"out 0\nout 1\nout 2\nno newline"
        assert _of("stderr", pieces) == b"err 0\nerr 1\nerr 2\n"
        assert container.wait().code == 0

    def test_many_lines_come_whole(self, make: Callable[..., Container]) -> None:
        container = make("many")
        container.start()
        assert _of("stdout", list(container.output())) == b"".join(b"line %d\n" % n for n in range(20_000))

    def test_bytes_that_are_no_text_come_unchanged(self, make: Callable[..., Container]) -> None:
        container = make("bytes")
        container.start()
        assert _of("stdout", list(container.output())) == b"\xff\x00\xfe\n"

    def test_the_exit_code_is_the_program_s(self, make: Callable[..., Container]) -> None:
        container = make("fail")
        container.start()
        ended = container.wait()
        assert (ended.code, ended.out_of_memory) == (7, False)
        assert container.exited() == ended

    def test_one_that_runs_has_not_exited(self, make: Callable[..., Container]) -> None:
        container = make("polite")
        assert container.exited() is None
        container.start()
        assert container.exited() is None
        container.kill()
        assert container.wait().code == 137

    def test_an_entrypoint_is_in_the_place_of_the_image_s(self, make: Callable[..., Container]) -> None:
        container = make("never", entrypoint=["fail"])
        container.start()
        assert container.wait().code == 7

    def test_environment_and_hostname(self, make: Callable[..., Container]) -> None:
        container = make("greet", environment={"GREETING": "grüezi = 1"}, hostname="ip-10-0-1-2.ec2.internal")
        container.start()
        text = _of("stdout", list(container.output())).decode()
        assert text == "grüezi = 1 from ip-10-0-1-2.ec2.internal\n"

    def test_logs_are_there_after_the_end(self, engine: Engine, make: Callable[..., Container]) -> None:
        made = make("talk")
        made.start()
        made.wait()
        container = engine.container(made.name)
        assert sorted(b"".join(container.logs()).split()) == sorted(
            b"out 0 out 1 out 2 err 0 err 1 err 2 no newline".split()
        )

    @pytest.mark.parametrize("tail", [0, 1, 2])
    def test_the_last_lines_of_the_log(self, make: Callable[..., Container], tail: int) -> None:
        container = make("many")
        container.start()
        container.wait()
        expected = b"".join(b"line %d\n" % n for n in range(20_000 - tail, 20_000))
        assert b"".join(container.logs(tail=tail)) == expected

    def test_following_a_log_ends_with_the_container(self, make: Callable[..., Container]) -> None:
        container = make("polite")
        container.start()
        logs = container.logs(follow=True)
        assert next(data for data in logs if data) == b"ready\n"
        container.stop(10)
        assert b"".join(logs) == b"bye\n"

    # -- resources ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("asked", "memory", "shm_size"),
        [({}, 0, 64 << 20), ({"memory": 256 << 20, "shm_size": 2 << 30}, 256 << 20, 2 << 30)],
    )
    def test_memory_and_shared_memory(
        self, engine: Engine, make: Callable[..., Container], asked: dict[str, int], memory: int, shm_size: int
    ) -> None:
        container = make("room", **asked)
        container.start()
        assert [int(word) for word in _of("stdout", list(container.output())).split()] == [
            engine.info().cpus,
            memory,
            shm_size,
        ]

    @pytest.mark.parametrize("cpuset", ["{last}", "0-{last}", "0,{last}"])
    def test_a_program_counts_the_cpus_that_it_is_given(
        self, engine: Engine, make: Callable[..., Container], cpuset: str
    ) -> None:
        """As in the cloud, where an instance has no others: numbers of workers come from it."""
        cpus = engine.info().cpus
        container = make("room", cpuset=cpuset.format(last=cpus - 1))
        container.start()
        count = {"{last}": 1, "0-{last}": cpus, "0,{last}": min(2, cpus)}[cpuset]
        assert int(_of("stdout", list(container.output())).split()[0]) == count

    # -- what cannot start -------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("program", "code", "hint"),
        [
            ("missing", 127, "put an executable `missing` on the image's PATH"),
            ("forbidden", 127, "put an executable `forbidden` on the image's PATH"),
            ("/usr/local/bin/forbidden", 126, "chmod +x"),
        ],
    )
    def test_a_program_that_cannot_be_executed(
        self, make: Callable[..., Container], program: str, code: int, hint: str
    ) -> None:
        container = make(program)
        with pytest.raises(CannotStart) as caught:
            container.start()
        assert caught.value.exit_code_of_program == code
        assert program in caught.value.message
        assert hint in caught.value.hint

    def test_a_gpu_that_is_not_there(self, make: Callable[..., Container]) -> None:
        container = make("talk", gpus="all")
        with pytest.raises(MachineError, match="no GPU"):
            container.start()
        container.remove()

    def test_cpus_that_are_not_there(self, engine: Engine, make: Callable[..., Container]) -> None:
        with pytest.raises(MachineError, match="this engine has not the CPUs"):
            make("talk", cpuset=f"0-{engine.info().cpus}").start()

    def test_a_network_that_is_not_there(self, make: Callable[..., Container]) -> None:
        with pytest.raises(ByocError, match=r"network .*not found"):
            make("talk", network="byoc-contract-no-such-network").start()

    def test_a_name_that_is_taken(self, engine: Engine, make: Callable[..., Container], project: str) -> None:
        name = f"byoc-contract-{secrets.token_hex(4)}"
        engine.create_network(name, {PROJECT_LABEL: project})
        make("talk", name=name)
        with pytest.raises(NameTaken, match=f"the name '{name}' is taken"):
            make("talk", name=name)
        with pytest.raises(NameTaken, match=f"the name '{name}' is taken"):
            engine.create_network(name, {PROJECT_LABEL: project})
        assert sorted(thing.type for thing in engine.things(project=project)) == ["container", "network"]

    # -- files -------------------------------------------------------------------------------------------------------

    def test_what_is_put_before_the_start_is_there(self, make: Callable[..., Container]) -> None:
        container = make("read", mounts=[Mount("/opt/ml/input")])
        container.put("/opt/ml/input", tar({"config/a.json": b"{}\n"}, folders=("config",)))
        container.start()
        assert _of("stdout", list(container.output())) == b"{}\n"

    def test_put_takes_chunks_and_gzip(self, make: Callable[..., Container]) -> None:
        import gzip

        data = gzip.compress(tar({"config/a.json": b"1\n"}, folders=("config",)))
        container = make("read", mounts=[Mount("/opt/ml/input")])
        container.put("/opt/ml/input", iter([data[:7], data[7:]]))
        container.start()
        assert _of("stdout", list(container.output())) == b"1\n"

    def test_put_into_a_folder_that_is_not_there(self, make: Callable[..., Container]) -> None:
        with pytest.raises(ByocError):
            make("read").put("/no/such/folder", tar({"a": b""}))

    def test_put_into_what_is_mounted_read_only(self, make: Callable[..., Container], tmp_path: Path) -> None:
        model = tmp_path / "model"
        model.mkdir()
        container = make("read", mounts=[Mount("/opt/ml/model", str(model), read_only=True)])
        with pytest.raises(ByocError, match="read-only"):
            container.put("/opt/ml/model", tar({"a": b""}))
        assert list(model.iterdir()) == []

    def test_get_is_a_tar_that_begins_with_the_last_part(self, make: Callable[..., Container]) -> None:
        container = make("write", mounts=[Mount("/opt/ml/model")])
        container.start()
        assert container.wait().code == 0
        found = _untar(container.get("/opt/ml/model"))
        assert set(found) == {"model", "model/1", "model/1/weights", "model/link"}
        assert found["model/1/weights"].size == 3
        assert found["model/link"].linkname == "1/weights"

    def test_get_of_nothing_is_nothing(self, make: Callable[..., Container]) -> None:
        assert list(make("talk").get("/opt/ml/no/such")) == []

    def test_stat_looks_through_mounts_before_the_start(self, make: Callable[..., Container], tmp_path: Path) -> None:
        (tmp_path / "data").write_bytes(b"12345")
        container = make("talk", mounts=[Mount("/opt/ml/input"), Mount("/opt/ml/input/data/a", str(tmp_path))])
        seen = container.stat("/opt/ml/input/data/a/data")
        assert seen is not None
        assert (seen.name, seen.size) == ("data", 5)
        assert container.stat("/opt/ml/input/data/a/nothing") is None

    def test_stat_tells_a_folder_by_its_mode(self, make: Callable[..., Container]) -> None:
        container = make("talk", mounts=[Mount("/opt/ml/input")])
        container.put("/opt/ml/input", tar({"config/a.json": b"{}"}, folders=("config",)))
        folder, file = container.stat("/opt/ml/input/config"), container.stat("/opt/ml/input/config/a.json")
        assert folder is not None
        assert file is not None
        assert folder.mode >> 31 == 1
        assert file.mode == 0o640

    def test_stat_does_not_follow_a_link_and_tells_where_it_leads(self, make: Callable[..., Container]) -> None:
        container = make("talk", mounts=[Mount("/opt/ml/input")])
        links = {"config/relative": "a.json", "config/absolute": "/opt/ml/input/config/a.json", "folder": "config"}
        container.put("/opt/ml/input", tar({"config/a.json": b"{}"}, ("config",), links))
        for name in ("relative", "absolute"):
            link = container.stat(f"/opt/ml/input/config/{name}")
            assert link is not None
            assert link.link == "/opt/ml/input/config/a.json"
        file, behind = container.stat("/opt/ml/input/config/a.json"), container.stat("/opt/ml/input/folder/a.json")
        assert file is not None
        assert behind is not None
        assert (file.link, behind.link) == ("", "")

    def test_stat_of_a_folder_moves_with_what_is_put_into_it(self, make: Callable[..., Container]) -> None:
        container = make("write", mounts=[Mount("/opt/ml/model"), Mount("/opt/ml/output")])
        model, output = container.stat("/opt/ml/model"), container.stat("/opt/ml/output")
        assert model is not None
        assert output is not None
        assert "." in model.modified, "fractions of a second"
        container.start()
        container.wait()
        after = container.stat("/opt/ml/model")
        assert after is not None
        assert after.modified != model.modified
        assert container.stat("/opt/ml/output") == output

    # -- signals -----------------------------------------------------------------------------------------------------

    def test_stop_sends_sigterm_and_waits(self, make: Callable[..., Container]) -> None:
        container = make("polite")
        container.start()
        output = container.output()
        assert next(output) == ("stdout", b"ready\n")
        container.stop(10)
        assert container.exited() is not None
        assert container.wait().code == 3
        assert list(output) == [("stdout", b"bye\n")]
        assert container.was_signalled()

    def test_stop_kills_after_the_grace(self, make: Callable[..., Container]) -> None:
        container = make("stubborn")
        container.start()
        assert next(container.output()) == ("stdout", b"ready\n")
        start = time.monotonic()
        container.stop(1)
        assert container.wait().code == 128 + signal.SIGKILL
        assert 0.9 < time.monotonic() - start < 60

    def test_one_that_ended_by_itself_was_not_signalled(self, make: Callable[..., Container]) -> None:
        container = make("fail")
        container.start()
        container.wait()
        assert not container.was_signalled()

    def test_stop_and_kill_after_the_end_do_nothing(self, make: Callable[..., Container]) -> None:
        container = make("fail")
        container.start()
        container.wait()
        container.stop(1)
        container.kill()
        assert container.wait().code == 7

    # -- things ------------------------------------------------------------------------------------------------------

    def test_things_are_found_by_their_label(
        self, engine: Engine, make: Callable[..., Container], project: str
    ) -> None:
        labels = {PROJECT_LABEL: project, KIND_LABEL: "train", JOB_LABEL: "job-1", "more": "x"}
        network, volume = f"byoc-contract-{secrets.token_hex(4)}", f"byoc-contract-{secrets.token_hex(4)}"
        engine.create_network(network, labels)
        assert engine.create_volume(volume, labels) == volume
        container = make("talk")
        found = {thing.type: thing for thing in engine.things(project=project)}
        assert {kind: thing.name for kind, thing in found.items()} == {
            "container": container.name,
            "network": network,
            "volume": volume,
        }
        assert all((thing.kind, thing.job, thing.project) == ("train", "job-1", project) for thing in found.values())
        assert found["volume"].labels["more"] == "x"
        assert {thing.name for thing in engine.things()} >= {container.name, network, volume}
        assert engine.things(project=project + "x") == []

    def test_a_container_s_state(self, engine: Engine, make: Callable[..., Container], project: str) -> None:
        container = make("polite")

        def state() -> tuple[str, bool]:
            (thing,) = engine.things(project=project)
            return thing.state, thing.running

        assert state() == ("created", False)
        container.start()
        assert state() == ("running", True)
        container.kill()
        container.wait()
        assert state() == ("exited", False)

    def test_a_container_is_found_by_name_and_id(self, engine: Engine, make: Callable[..., Container]) -> None:
        made = make("talk")
        assert engine.container(made.name).id == made.id
        assert engine.container(made.id).name == made.name
        with pytest.raises(ByocError, match="there is no container 'byoc-contract-nothing'"):
            engine.container("byoc-contract-nothing")

    def test_remove_takes_the_fresh_volumes_along(
        self, engine: Engine, make: Callable[..., Container], project: str
    ) -> None:
        container = make("polite", mounts=[Mount("/opt/ml/input"), Mount("/opt/ml/model")])
        assert sorted(thing.type for thing in engine.things(project=project)) == ["container", "volume", "volume"]
        container.start()
        container.remove()
        assert engine.things(project=project) == []

    def test_removing_twice_is_fine(self, engine: Engine, make: Callable[..., Container], project: str) -> None:
        labels = {PROJECT_LABEL: project}
        engine.create_network(f"byoc-contract-{secrets.token_hex(4)}", labels)
        engine.create_volume(f"byoc-contract-{secrets.token_hex(4)}", labels)
        container = make("talk")
        things = sorted(engine.things(project=project), key=lambda thing: thing.type)
        for thing in [*things, *things]:
            engine.remove(thing)
        container.remove()
        container.stop(1)
        container.kill()
        assert engine.things(project=project) == []

    def test_one_that_somebody_removed_is_gone_and_not_empty(
        self, engine: Engine, make: Callable[..., Container]
    ) -> None:
        container = make("polite", mounts=[Mount("/opt/ml/model")])
        container.start()
        assert container.is_there()
        engine.container(container.id).remove()
        assert not container.is_there()
        for call in (container.wait, lambda: list(container.get("/opt/ml/model"))):
            with pytest.raises(ContainerGone):
                call()

    def test_networks_and_volumes_are_removed_by_name(self, engine: Engine, project: str) -> None:
        name = f"byoc-contract-{secrets.token_hex(4)}"
        engine.create_network(name, {PROJECT_LABEL: project})
        engine.create_volume(name, {PROJECT_LABEL: project})
        for _ in range(2):
            engine.remove_network(name)
            engine.remove_volume(name)
        assert engine.things(project=project) == []

    def test_a_container_is_on_its_network_also_after_its_end(
        self, engine: Engine, make: Callable[..., Container], project: str
    ) -> None:
        name = f"byoc-contract-{secrets.token_hex(4)}"
        engine.create_network(name, {PROJECT_LABEL: project})
        container = make("talk", network=name)
        container.start()
        container.wait()
        assert container.is_on(name)
        assert not container.is_on("another")
        container.remove()
        engine.remove_network(name)

    def test_a_network_in_use_is_not_removed(
        self, engine: Engine, make: Callable[..., Container], project: str
    ) -> None:
        name = f"byoc-contract-{secrets.token_hex(4)}"
        engine.create_network(name, {PROJECT_LABEL: project})
        container = make("polite", network=name, aliases=["algo-1"])
        container.start()
        with pytest.raises(ByocError, match="active endpoints"):
            engine.remove_network(name)
        container.kill()
        container.wait()
        engine.remove_network(name)

    def test_a_container_on_a_second_network_with_addresses_of_its_own(
        self, engine: Engine, make: Callable[..., Container], project: str
    ) -> None:
        first, second = (f"byoc-contract-{secrets.token_hex(4)}" for _ in range(2))
        place = f"198.18.{secrets.randbelow(256)}"  # of the addresses that are nobody's
        engine.create_network(first, {PROJECT_LABEL: project})
        engine.create_network(
            second, {PROJECT_LABEL: project}, internal=True, subnet=f"{place}.16/28", gateway=f"{place}.23"
        )
        container = make("polite", network=first)
        container.connect(second)
        container.start()
        with pytest.raises(ByocError, match="active endpoints"):
            engine.remove_network(second)
        container.kill()
        container.wait()
        engine.remove_network(second)
        lost = make("talk", network=first)
        lost.connect(second)  # as any network: it is looked for at the start
        with pytest.raises(ByocError, match=r"network .*not found"):
            lost.start()

    def test_a_subnet_is_given_once(self, engine: Engine, project: str) -> None:
        first, second = (f"byoc-contract-{secrets.token_hex(4)}" for _ in range(2))
        place = f"198.19.{secrets.randbelow(256)}"
        engine.create_network(first, {PROJECT_LABEL: project}, subnet=f"{place}.0/28", gateway=f"{place}.2")
        with pytest.raises(SubnetTaken, match="another network has these addresses"):
            engine.create_network(second, {PROJECT_LABEL: project}, subnet=f"{place}.0/27", gateway=f"{place}.23")
        engine.remove_network(first)
        engine.create_network(second, {PROJECT_LABEL: project}, subnet=f"{place}.0/27", gateway=f"{place}.23")

    def test_a_volume_lives_longer_than_its_container(
        self, engine: Engine, make: Callable[..., Container], project: str
    ) -> None:
        volume = engine.create_volume(f"byoc-contract-{secrets.token_hex(4)}", {PROJECT_LABEL: project})
        filler = make("talk", mounts=[Mount("/opt/ml/input", volume)])
        filler.put("/opt/ml/input", tar({"config/a.json": b"kept\n"}, folders=("config",)))
        filler.remove()
        container = make("read", mounts=[Mount("/opt/ml/input", volume, read_only=True)])
        container.start()
        assert _of("stdout", list(container.output())) == b"kept\n"

    def test_a_container_with_the_mounts_of_another(self, make: Callable[..., Container]) -> None:
        first = make("write", mounts=[Mount("/opt/ml/model")])
        first.start()
        first.wait()
        second = make("talk", volumes_from=first.id, terminal=True)
        assert "model/1/weights" in _untar(second.get("/opt/ml/model"))
        second.put("/opt/ml/model", tar({"more": b"m"}))
        second.remove()
        assert {"model/1/weights", "model/more"} <= set(_untar(first.get("/opt/ml/model"))), "they are the first's"

    def test_an_overlay_shows_a_folder_and_keeps_it_as_it_is(
        self, engine: Engine, image: str, make: Callable[..., Container], project: str, tmp_path: Path
    ) -> None:
        shown = tmp_path / "shown, with: a \\name"
        for name in ("a", "b"):
            (shown / name).mkdir(parents=True)
            (shown / name / "weights").write_text(f"{name}\n")
        volumes = {f"byoc-contract-{secrets.token_hex(4)}": str(shown / name) for name in ("a", "b")}
        made = engine.create_overlays(volumes, image, {PROJECT_LABEL: project})
        first, second = volumes
        assert {thing.name for thing in engine.things(project=project)} == set(made)
        container = make("write", mounts=[Mount("/opt/ml/model", first), Mount("/opt/ml/output", second)])
        seen = container.stat("/opt/ml/output/weights")
        assert seen is not None
        assert seen.size == 2
        container.start()
        assert container.wait().code == 0
        assert {"model/weights", "model/1/weights"} <= set(_untar(container.get("/opt/ml/model")))
        assert sorted(path.name for path in shown.rglob("*")) == ["a", "b", "weights", "weights"]
        container.remove()
        assert {thing.name for thing in engine.things(project=project)} == set(made)

    def test_a_container_runs_as_the_image_says_or_as_asked(self, make: Callable[..., Container]) -> None:
        for user, seen in (("", b"0:0\n"), ("123456:123457", b"123456:123457\n")):
            container = make("who", user=user)
            container.start()
            assert _of("stdout", list(container.output())) == seen

    # -- ports -------------------------------------------------------------------------------------------------------

    def test_a_published_port_answers_on_this_machine(
        self, engine: Engine, make: Callable[..., Container], project: str
    ) -> None:
        container = make("listen", ports={8080: 0})
        container.start()
        assert next(container.output()) == ("stdout", b"ready\n")
        port = container.port(8080)
        assert port > 1024
        (thing,) = engine.things(project=project)
        assert thing.ports == {8080: port}

        def ask() -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                return connection.recv(5)

        assert _eventually(ask) == b"hello"
        container.kill()

    def test_an_isolated_container_answers_at_its_own_address(
        self, engine: Engine, make: Callable[..., Container], project: str
    ) -> None:
        name = f"byoc-contract-{secrets.token_hex(4)}"
        engine.create_network(name, {PROJECT_LABEL: project}, internal=True)
        container = make("listen", network=name)
        assert container.address(name) == "", "it has not been started"
        container.start()
        assert next(container.output()) == ("stdout", b"ready\n")
        with socket.create_connection((str(ip_interface(container.address(name)).ip), 8080), timeout=5) as connection:
            assert connection.recv(5) == b"hello"
        assert container.address("another") == ""
        container.kill()
        container.wait()
        assert _eventually(lambda: container.address(name) == "")
        engine.remove_network(name)

    def test_a_port_that_another_container_holds(self, make: Callable[..., Container]) -> None:
        first = make("listen", ports={8080: 0})
        first.start()
        with pytest.raises(MachineError, match="port is taken") as caught:
            make("listen", ports={8080: first.port(8080)}).start()
        assert "--port" in caught.value.hint
        first.kill()

    def test_a_port_that_is_not_published_is_zero(self, make: Callable[..., Container]) -> None:
        container = make("polite")
        container.start()
        assert container.port(8080) == 0
        container.kill()

"""Requests, their retries, and the files that are made of the answers: against a server of this process."""

from __future__ import annotations

import io
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from byoc_cli.contract.batch import AssembleWith, BatchStrategy, Parameters, SplitType
from byoc_cli.contract.data_processing import DataProcessing, Processor
from byoc_cli.errors import MachineError, UsageError
from byoc_cli.local.batch.outputs import Output, held, output_folder
from byoc_cli.local.batch.pipeline import Pipeline
from byoc_cli.local.batch.sending import Gone, Refused, Sender
from byoc_cli.local.channels.objects import Object
from tests.unit.batch_world import Answer, BatchServer, HangUp


@pytest.fixture
def server() -> Iterator[BatchServer]:
    made = BatchServer()
    yield made
    made.close()


def lives() -> None:
    """The container does."""


def dead() -> None:
    """The container is not there any more."""
    raise Gone("exit code 7")


@pytest.fixture
def sender(server: BatchServer) -> Iterator[Callable[..., Sender]]:
    made = []

    def make(timeout: float = 30, retries: int = 3, alive: Callable[[], None] = lives, **headers: str) -> Sender:
        one = Sender(server.url, headers, alive=alive, timeout=timeout, retries=retries, pauses=(0.0,))
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def sent(sender: Sender, body: bytes = b"x") -> bytes:
    into = io.BytesIO()
    sender.send(lambda: body, into)
    return into.getvalue()


def in_turn(*answers: Answer | Exception) -> Callable[[bytes, int], Answer]:
    def act(_: bytes, number: int) -> Answer:
        answer = answers[min(number, len(answers) - 1)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return act


# -- one request -------------------------------------------------------------------------------------------------------


def test_a_request_has_the_headers_that_it_is_told_and_no_others(
    server: BatchServer, sender: Callable[..., Sender]
) -> None:
    assert sent(sender(**{"Content-Type": "text/csv", "Accept": "a/b"}), b"\x00\xff\r\n") == b"\x00\xff\r\n"
    assert sent(sender(), b"") == b""
    assert server.bodies == [b"\x00\xff\r\n", b""]
    first, second = server.headers
    assert (first["content-type"], first["accept"], first["content-length"]) == ("text/csv", "a/b", "4")
    assert "content-type" not in second
    assert "accept" not in second
    assert second["accept-encoding"] == "identity"


@pytest.mark.parametrize("fault", [(500, b"busy"), (503, b""), HangUp(), HangUp(b"half of an ans")])
def test_h59_what_may_pass_is_tried_three_times_more(
    server: BatchServer, sender: Callable[..., Sender], fault: Answer | HangUp
) -> None:
    server.act = in_turn(fault, fault, fault, (200, b"good"))
    assert sent(sender()) == b"good", "and nothing of the tries before"
    assert server.bodies == [b"x"] * 4
    server.bodies.clear()
    server.act = in_turn(fault)
    with pytest.raises(Refused) as caught:
        sent(sender())
    assert len(server.bodies) == 4
    assert not caught.value.client
    server.bodies.clear()
    with pytest.raises(Refused):
        sent(sender(retries=0))
    assert len(server.bodies) == 1


@pytest.mark.parametrize("status", [400, 404, 413, 429, 302])
def test_h59_a_request_that_is_wrong_is_not_tried_again(
    server: BatchServer, sender: Callable[..., Sender], status: int
) -> None:
    server.act = in_turn((status, b"column 3 is missing"))
    with pytest.raises(Refused) as caught:
        sent(sender())
    assert len(server.bodies) == 1
    assert caught.value.client
    said = "Bad HTTP status received from algorithm: 302" if status == 302 else f"ClientError: {status}"
    assert caught.value.message == f"{said}\ncolumn 3 is missing"


def test_of_a_long_error_the_beginning_is_said(server: BatchServer, sender: Callable[..., Sender]) -> None:
    server.act = in_turn((500, b"e" * 5_000_000))
    with pytest.raises(Refused) as caught:
        sent(sender())
    assert caught.value.message == f"Bad HTTP status received from algorithm: 500\n{'e' * 2000}"


def test_h59_an_answer_that_does_not_come(server: BatchServer, sender: Callable[..., Sender]) -> None:
    over = threading.Event()

    def slow(_: bytes, __: int) -> Answer:
        over.wait(60)
        return 200, b"late"

    server.act = slow
    with pytest.raises(Refused, match=r"Unable to get response from algorithm\nno answer within 0\.2 s"):
        sent(sender(timeout=0.2, retries=1))
    assert not over.is_set()
    end = time.monotonic() + 30
    while len(server.bodies) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    over.set()
    assert len(server.bodies) == 2


def test_h59_a_body_that_nobody_takes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # connections are taken, but nothing is read
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            closing(Sender(url, {}, alive=lives, timeout=0.3, retries=0)) as one,
            pytest.raises(Refused, match=r"no answer within 0\.3 s"),
        ):
            sent(one, bytes(50 << 20))


def test_what_an_answer_sets_is_not_said_in_the_next_request(
    server: BatchServer, sender: Callable[..., Sender]
) -> None:
    server.sets = "session=1; Path=/"
    one = sender()
    assert sent(one) == sent(one) == b"x"
    assert ["cookie" in headers for headers in server.headers] == [False, False]


def trickling(listener: socket.socket) -> threading.Thread:
    """Answer one request without end, a byte now and then, until nobody listens."""

    def trickle() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b" ")
                time.sleep(0.02)

    thread = threading.Thread(target=trickle)
    thread.start()
    return thread


def test_h56_h59_an_answer_that_trickles_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = trickling(listener)
        with (
            closing(Sender(url, {}, alive=lives, timeout=0.3, retries=0)) as one,
            pytest.raises(Refused, match=r"no answer within 0\.3 s"),
        ):
            sent(one)
        thread.join()
        thread = trickling(listener)
        with (
            closing(Sender(url, {}, alive=lives, timeout=0.3)) as one,
            pytest.raises(ValueError, match=r"no answer within 0\.3 s"),
        ):
            one.execution_parameters()
        thread.join()


def test_a_container_that_has_ended_is_asked_no_more(server: BatchServer, sender: Callable[..., Sender]) -> None:
    server.act = in_turn(HangUp())
    with pytest.raises(Gone, match="exit code 7"):
        sent(sender(alive=dead))
    assert len(server.bodies) == 1


def test_nobody_listens(server: BatchServer, sender: Callable[..., Sender]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        one = Sender(f"http://127.0.0.1:{held.getsockname()[1]}", {}, alive=lives, retries=1, pauses=(0.0,))
        with pytest.raises(Refused, match="Unable to get response from algorithm\nthe connection was refused"):
            sent(one)
        with pytest.raises(ValueError, match="the connection was refused"):
            one.execution_parameters()
        one.close()


def test_h56_execution_parameters_are_asked_for(server: BatchServer, sender: Callable[..., Sender]) -> None:
    assert sender().execution_parameters() is None
    server.parameters = b'{"MaxPayloadInMB": 1}'
    assert sender().execution_parameters() == b'{"MaxPayloadInMB": 1}'
    server.parameters = b" " * 100_000
    with pytest.raises(ValueError, match="it has more than 65,536 bytes"):
        sender().execution_parameters()


# -- files -------------------------------------------------------------------------------------------------------------


@dataclass
class Files:
    """A folder of inputs, and what a pipeline makes of them."""

    folder: Path
    done: int = 0
    failed: list[str] = field(default_factory=list)

    def run(
        self,
        sender: Sender,
        split: SplitType = "Line",
        strategy: BatchStrategy = "SingleRecord",
        *,
        concurrent: int = 1,
        megabytes: int = 6,
        assemble: AssembleWith = "None",
        processor: Processor | None = None,
    ) -> list[Output]:
        inputs = self.folder / "in"
        keys = sorted(str(path.relative_to(inputs)) for path in inputs.rglob("*") if path.is_file())
        outputs = [Output(Object(key, inputs / key), self.folder / "out", assemble) for key in keys]
        parameters = Parameters(concurrent, strategy, megabytes)
        Pipeline(sender, parameters, split, self._advance, self._fail, processor).run(outputs)
        return outputs

    def _advance(self, amount: int) -> None:
        self.done += amount

    def _fail(self, output: Output) -> None:
        self.failed.append(output.source.key)

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    @property
    def made(self) -> dict[str, bytes]:
        """All that lies in the output folder."""
        out = self.folder / "out"
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_h58_the_order_is_the_inputs_however_long_answers_take(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    chance = random.Random(7)
    pauses = [chance.random() * 0.02 for _ in range(200)]

    def act(body: bytes, number: int) -> Answer:
        time.sleep(pauses[number % 200])
        return 200, b"<" + body.strip() + b">\n"

    server.act = act
    lines = [[b"%s %d\n" % (name, number) for number in range(90)] for name in (b"a", b"b")]
    files.write("a.csv", b"".join(lines[0]))
    files.write("deeper/still/b.csv", b"".join(lines[1]))
    outputs = files.run(sender(), concurrent=8)
    expected = [b"".join(b"<" + line.strip() + b">\n" for line in each) for each in lines]
    assert files.made == {"a.csv.out": expected[0], "deeper/still/b.csv.out": expected[1]}
    assert [output.records for output in outputs] == [90, 90]
    assert sorted(server.bodies) == sorted(lines[0] + lines[1])
    assert 2 <= server.most <= 8
    assert files.done == sum(map(len, lines[0] + lines[1]))


def test_h57_small_files_are_sent_at_the_same_time(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    """All four have to be there before one is answered."""
    meeting = threading.Barrier(4)

    def act(body: bytes, _: int) -> Answer:
        meeting.wait(60)
        return 200, body

    server.act = act
    for number in range(8):
        files.write(f"{number}.png", b"%d" % number)
    files.run(sender(), "None", concurrent=4)
    assert files.made == {f"{number}.png.out": b"%d" % number for number in range(8)}
    assert server.most == 4


def test_h58_a_record_that_fails_fails_its_file_and_no_other(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    server.act = lambda body, _: (400, b"no number") if body.startswith(b"x") else (200, body)
    files.write("a.csv", b"1\n2\n")
    files.write("b.csv", b"1\nx\n" + b"3\n" * 1000)
    files.write("c.csv", b"5\n")
    outputs = files.run(sender(), concurrent=2)
    assert files.made == {"a.csv.out": b"1\n2\n", "c.csv.out": b"5\n"}, "no half of b.csv.out"
    assert outputs[1].failure == "record 2: ClientError: 400\nno number"
    assert not outputs[1].algorithm_failed
    assert files.failed == ["b.csv"]
    assert len(server.bodies) < 20, "of a file that has failed no more is sent"


def test_h57_a_record_that_is_too_large_fails_its_file(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    files.write("a.csv", b"1\n" * 3 + b"x" * 2_000_000 + b"\n")
    files.write("b.csv", b"1\n")
    outputs = files.run(sender(), megabytes=1)
    assert outputs[0].failure == "record 4 has 2,000,001 bytes, more than MaxPayloadInMB 1 allows (H-57)"
    assert outputs[0].hint == "--max-payload-mb 2"
    assert files.made == {"b.csv.out": b"1\n"}


def test_an_answer_that_never_comes_is_the_algorithms_fault(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    server.act = in_turn(HangUp())
    files.write("a.csv", b"1\n2\n3\n")
    (output,) = files.run(sender(), strategy="MultiRecord")
    assert output.failure.startswith("records 1 to 3: Unable to get response from algorithm\n")
    assert output.algorithm_failed
    assert files.made == {}


@pytest.mark.parametrize(
    ("split", "assemble", "expected"),
    [
        ("Line", "None", b"123"),
        ("Line", "Line", b"1\n2\n3\n"),
        ("None", "None", b"1\n2\n3"),
        ("None", "Line", b"1\n2\n3\n"),
    ],
)
def test_h58_assemble_with(
    server: BatchServer,
    sender: Callable[..., Sender],
    files: Files,
    split: SplitType,
    assemble: AssembleWith,
    expected: bytes,
) -> None:
    server.act = lambda body, _: (200, body.strip())
    files.write("a.csv", b"1\n2\n3\n")
    (output,) = files.run(sender(), split, assemble=assemble)
    assert files.made == {"a.csv.out": expected}
    assert not output.ended_in_newline
    server.act = lambda body, _: (200, body)
    (output,) = files.run(sender(), split, assemble="Line")
    assert output.ended_in_newline


def test_an_empty_file_has_an_empty_output(server: BatchServer, sender: Callable[..., Sender], files: Files) -> None:
    files.write("a.csv", b"")
    (output,) = files.run(sender(), "Line")
    assert files.made == {"a.csv.out": b""}
    assert (server.bodies, output.records, output.done) == ([], 0, True)


def test_h57_a_payload_of_0_streams_the_whole_file(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    data = random.Random(1).randbytes(5_000_000)
    files.write("a.bin", data)
    server.act = lambda body, number: (500, b"") if number == 0 else (200, body)
    files.run(sender(), "None", megabytes=0)
    assert server.headers[0]["transfer-encoding"] == "chunked"
    assert "content-length" not in server.headers[0]
    assert server.bodies == [data, data]
    assert files.made == {"a.bin.out": data}
    assert files.done == len(data), "a second try counts no second time"


def test_h57_a_streamed_file_that_cannot_be_read_is_not_the_containers_fault(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    gone = files.folder / "gone"
    output = Output(Object("gone", gone), files.folder / "out", "None")
    Pipeline(sender(), Parameters(1, "MultiRecord", 0), "None", files._advance, files._fail).run([output])
    assert output.failure == f"No such file or directory: {gone}"
    assert not output.algorithm_failed
    assert (server.bodies, files.made) == ([], {})


def test_what_was_there_stays_until_the_new_one_is_whole(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    files.write("a.csv", b"1\n2\n")
    (files.folder / "out").mkdir()
    (files.folder / "out" / "a.csv.out").write_bytes(b"of yesterday")
    seen = []

    def act(body: bytes, _: int) -> Answer:
        seen.append(files.made["a.csv.out"])
        return 200, body

    server.act = act
    files.run(sender())
    assert seen == [b"of yesterday"] * 2
    assert files.made == {"a.csv.out": b"1\n2\n"}
    server.act = in_turn((400, b""))
    files.run(sender())
    assert files.made == {"a.csv.out": b"1\n2\n"}


def test_an_output_that_cannot_be_written_fails_its_file(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    files.write("a.csv", b"1\n")
    files.write("b.csv", b"2\n")
    (files.folder / "out" / "a.csv.out").mkdir(parents=True)
    outputs = files.run(sender())
    assert outputs[0].failure.startswith("Is a directory: ")
    assert files.made == {"b.csv.out": b"2\n"}


def test_a_full_disk_fails_the_file_and_leaves_nothing(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    files.write("a.csv", b"1\n" * 3)
    files.write("b.csv", b"2\n")
    (files.folder / "out").mkdir()
    (files.folder / "out" / "a.csv.out.part").symlink_to("/dev/full")  # all that is written to it fails, at its end too
    outputs = files.run(sender())
    assert outputs[0].failure == "No space left on device"
    assert files.made == {"b.csv.out": b"2\n"}
    assert not (files.folder / "out" / "a.csv.out.part").is_symlink()


def test_what_a_killed_byoc_left_goes_with_the_next_that_fails(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    files.write("a.csv", b"1\n")
    (files.folder / "out").mkdir()
    (files.folder / "out" / "a.csv.out.part").write_bytes(b"half")
    server.act = in_turn((400, b""))
    files.run(sender())
    assert files.made == {}


def test_an_input_that_is_gone_fails(server: BatchServer, sender: Callable[..., Sender], files: Files) -> None:
    files.write("a.csv", b"1\n")
    output = Output(Object("z.csv", files.folder / "in" / "z.csv"), files.folder / "out", "None")
    Pipeline(sender(), Parameters(), "Line", files._advance, files._fail).run([output])
    assert output.failure == f"No such file or directory: {files.folder / 'in' / 'z.csv'}"


def test_a_container_that_ends_leaves_no_half_of_a_file(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    server.act = lambda body, number: (200, body) if number < 3 else in_turn(HangUp())(body, 0)
    files.write("a.csv", b"1\n")
    files.write("b.csv", b"2\n" * 50)
    files.write("c.csv", b"3\n")
    with pytest.raises(Gone):
        files.run(sender(alive=dead))
    assert files.made == {"a.csv.out": b"1\n"}


@pytest.mark.parametrize("strategy", ["SingleRecord", "MultiRecord"])
def test_h60_filters_and_join(
    server: BatchServer, sender: Callable[..., Sender], files: Files, strategy: BatchStrategy
) -> None:
    """The model's answer to a row of numbers is their sum; the first column is a name that it cannot take."""

    def act(body: bytes, _: int) -> Answer:
        return 200, b"".join(b"%d\n" % sum(map(int, line.split(b","))) for line in body.splitlines())

    server.act = act
    files.write("a.csv", b"".join(b"row %d,%d,2,3\n" % (number, number) for number in range(50)))
    processor = Processor(DataProcessing("$[1:]", "$[0,-1]", "Input"), "text/csv", "")
    (output,) = files.run(sender(), strategy=strategy, concurrent=4, assemble="Line", processor=processor)
    assert files.made == {"a.csv.out": b"".join(b"row %d,%d\n" % (number, number + 5) for number in range(50))}
    assert not output.ended_in_newline


def test_h60_a_record_that_cannot_be_joined_fails_its_file(
    server: BatchServer, sender: Callable[..., Sender], files: Files
) -> None:
    files.write("a.csv", b"1\n2\n")
    files.write("b.csv", b"1,2\n3\n")
    files.write("c.csv", b"1,2\n3,4\n")
    server.act = lambda body, _: (200, b"one line\n" if body == b"2\n4\n" else body)
    processor = Processor(DataProcessing("$[1]", "$", "Input"), "text/csv", "")
    outputs = files.run(sender(), strategy="MultiRecord", assemble="Line", processor=processor)
    assert outputs[0].failure == "records 1 to 2: $[1] of record 1: there is no element 1 in it"
    assert outputs[1].failure == "records 1 to 2: $[1] of record 2: there is no element 1 in it"
    said = "records 1 to 2: Fail to join data: mismatched line count between the input and the output\n"
    assert outputs[2].failure == f"{said}2 in the input, 1 in the answer"
    assert files.made == {}
    assert server.bodies == [b"2\n4\n"], "what cannot be filtered is not sent"


# -- the folder --------------------------------------------------------------------------------------------------------


def test_an_output_folder_is_made_and_is_not_in_the_input(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert output_folder(tmp_path / "out" / "x", tmp_path / "in") == tmp_path / "out" / "x"
    assert (tmp_path / "out" / "x").is_dir()
    for inside in ("in", "in/results"):
        with pytest.raises(UsageError, match="is in the input's folder") as caught:
            output_folder(tmp_path / inside, tmp_path / "in")
        assert caught.value.hint == f"--out {tmp_path / 'out'}"
    assert not (tmp_path / "in" / "results").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made"):
        output_folder(tmp_path / "file", None)


def test_an_output_folder_that_cannot_be_written_to() -> None:
    with pytest.raises(UsageError, match="--out /proc cannot be written to\n"):
        output_folder(Path("/proc"), None)


def test_two_jobs_do_not_write_into_each_others_halves(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(MachineError, match="another byoc batch writes to"), held(tmp_path):
        pass
    with held(tmp_path):
        pass

"""Whether it starts, and gets as far as to be asked."""

from __future__ import annotations

from statistics import median

from byoc_cli.check.hosting.asking import Answer
from byoc_cli.check.hosting.facts import ServingFacts
from byoc_cli.check.hosting.serve import asked, cause, missing_model, needs_model, network_line, started
from byoc_cli.check.hosting.starting import Start
from byoc_cli.check.model import Verdict, failed, passed, skipped, warned
from byoc_cli.check.training import causes
from byoc_cli.check.training.ran import Ran
from byoc_cli.contract import cloud_words, hosting, paths

_OLD_STARTUP_SECONDS = 240.0
_ALL = "0.0.0.0"  # noqa: S104 - it is the container that should
_MANY = 3


@started("H-01", "`docker run IMAGE serve` starts and stays", "let `serve` stay in the foreground", also=("H-09",))
def starts(facts: ServingFacts) -> Verdict:
    """What ends before it is ready is no endpoint."""
    start = facts.start
    if start.refused:
        return failed(start.refused, cloud=cloud_words.cannot_start(["serve"], start.refused, 127))
    if not start.exit:
        return passed("it was started, and stayed")
    if excuse := _excuse(facts):
        return skipped(excuse)
    if _neither(facts):
        seen = f"it takes neither `train` nor `serve`\n{_refusal(facts)[:200]}"
        fix = "let ENTRYPOINT take these words, or leave it out and have programs of these names on PATH"
        return failed(seen, fix, hosting.cannot_start())
    memory = " (out of memory)" if start.exit.out_of_memory else ""
    seen = f"it ended with exit code {start.exit.code}{memory} {start.seconds:.1f} s after its start"
    if (found := cause(facts)) and found.line[:200] not in start.last_lines:
        seen += f"\n{found.line[:200]}"
    seen += f"\n{start.last_lines}"
    fix = "`serve` has to stay in the foreground: exec the server, without & or daemon" if start.exit.code == 0 else ""
    return failed(seen, fix or "see its last lines; byoc serve shows the whole log", hosting.cannot_start())


def _excuse(facts: ServingFacts) -> str:
    """Why that it ended is no finding of its own, "" where it is."""
    if facts.refusals:
        return "it ended because it could not write to its model's folder (H-04)"
    if network_line(facts.log):
        return "it ended because it had no network (H-26)"
    if facts.image.serve.knows_only("train"):
        return "ENTRYPOINT knows the word `train` only: the image does not serve"
    if _neither(facts):
        return ""
    line = _refusal(facts) if facts.has_model and not facts.given else ""
    return f"the image does not serve: {line[:200]}" if line else needs_model(facts)


def _refusal(facts: ServingFacts) -> str:
    return causes.refusal(Ran(code=1, log=facts.log), hosting.COMMAND)


def _neither(facts: ServingFacts) -> bool:
    """Whether it has refused both words: an image may do one thing only, but one it has to."""
    return facts.without.startswith(causes.DOES_NOT_TRAIN) and bool(_refusal(facts))


@started("H-04", "it does not write to its model's folder", "write to /tmp instead")
def read_only(facts: ServingFacts) -> Verdict:
    """It is read-only, as in the cloud."""
    if facts.refusals:
        seen = "\n".join(facts.refusals[:2])
        if facts.ready and (facts.sample or not any(_went_wrong(answer) for _, answer in facts.tries)):
            return warned(f"{seen}\nit went on all the same")
        return failed(seen, cloud=hosting.cannot_start() if facts.start.exit else hosting.ping_failed())
    if facts.ready:
        return passed(f"{paths.MODEL} was read-only, and it did not mind")
    return skipped("it did not become ready")


def _went_wrong(answer: Answer) -> bool:
    return answer.status >= 500 or not answer.status


@started(
    "H-10",
    "GET /ping is answered with 200 within 2 s, also under load",
    "answer it at once; more than one worker or thread: gunicorn --workers 2 --threads 4, ThreadingHTTPServer",
)
def pings(facts: ServingFacts) -> Verdict:
    """At rest and under load. That POST is answered, too, is for information: the platform sends GET."""
    start = facts.start
    if facts.ready:
        return _while_busy(facts)
    if start.late:
        return failed(f"/ping is 200, but after {start.late[-1]:.1f} s", cloud=hosting.ping_failed())
    if not start.last.status and not _hangs(start):
        return skipped("it did not get so far")
    if reason := needs_model(facts):
        return skipped(reason)
    answers = "answers " if start.last.status else f"on port {hosting.PORT}, where it listens: "
    seen = f"/ping {answers}{start.last.told}, {start.seconds:.0f} s after the start"
    if not start.idle:
        return warned(f"{seen}, and it is at work", "answer sooner, or give the check a longer --timeout")
    return failed(f"{seen}\n{start.last_lines}", cloud=hosting.ping_failed())


def _hangs(start: Start) -> bool:
    """Whether somebody listens on the right port, does nothing, and answers nothing, or no HTTP."""
    there = any(each.port == hosting.PORT for each in start.listens or ())
    return there and start.idle and not start.last.status and start.last.connected > 0


def _while_busy(facts: ServingFacts) -> Verdict:
    """The trap of a single worker; one whose requests are known to be short does not fall into it."""
    if facts.busy.late:
        return failed(
            f"while one request was worked on ({facts.answer.seconds:.1f} s), /ping: {facts.busy.late[0].told}",
            cloud=hosting.ping_failed(),
        )
    alone = facts.answer.seconds
    if len(facts.loads) > 1 and all(load.late for load in facts.loads) and facts.sample and 8 * alone < 1:
        late = facts.loads[-1].late[0].told
        return failed(f"beside requests of {1e3 * alone:.0f} ms, /ping: {late}", cloud=hosting.ping_failed())
    if facts.held and facts.held.status != 200:
        seen = f"while one request was on its way, /ping: {facts.held.told}; it does one thing at a time"
        if facts.sample and 8 * alone < hosting.PING_TIMEOUT_SECONDS:
            return passed(f"{seen}, which does no harm with requests of {1e3 * alone:.0f} ms")
        return warned(f"{seen}\na request of 2 s makes the endpoint unhealthy", cloud=hosting.ping_failed())
    posted = facts.posted_ping.status or facts.posted_ping.why
    return passed(f"200 after {1e3 * facts.start.last.seconds:.0f} ms, no later under load; POST /ping: {posted}")


@started(
    "H-11",
    "it is ready within 8 minutes of its start",
    "load the model in the background, or make it smaller; ContainerStartupHealthCheckTimeoutInSeconds goes to 3600",
)
def ready_in_time(facts: ServingFacts) -> Verdict:
    """As far as the check waits."""
    start = facts.start
    if start.ready is not None:
        return _in_time(start.ready)
    if start.refused or start.exit or start.wrong or start.late or start.last.status or _hangs(start):
        return skipped("it did not get so far")
    if reason := needs_model(facts):
        return skipped(reason)
    where = "" if start.listens is None else "; it listens on " + (", ".join(map(str, start.listens)) or "no port")
    seen = f"{start.seconds:.0f} s after the start: {start.last.told}{where}\n{start.last_lines}"
    if start.idle and not start.listens:
        return failed(f"{seen}\nit does nothing any more", cloud=hosting.ping_failed())
    return warned(f"{seen}\na longer --timeout tells more", cloud=hosting.ping_failed())


def _in_time(ready: float) -> Verdict:
    if ready > hosting.STARTUP_TIMEOUT_SECONDS:
        return failed(f"it took {ready:.0f} s", cloud=hosting.ping_failed())
    if ready > _OLD_STARTUP_SECONDS:
        return warned(f"it took {ready:.0f} s; older documents say 4 minutes", cloud=hosting.ping_failed())
    return passed(f"after {ready:.1f} s")


@started("H-12", "it listens on port 8080 of all interfaces", "bind 0.0.0.0:8080")
def listens(facts: ServingFacts) -> Verdict:
    """Read from /proc/net/tcp of the container."""
    start = facts.start
    if facts.ready:
        where = [str(each) for each in start.listens or () if each.port == hosting.PORT]
        return passed(f"{', '.join(where) or f'port {hosting.PORT}'} answers at its own address")
    if not start.wrong:
        return skipped("it did not get so far")
    seen = f"it listens on {', '.join(map(str, start.wrong))}"
    if alone := [each for each in start.wrong if each.port == hosting.PORT]:
        return failed(
            f"{seen} only: nobody outside of the container reaches that",
            f"bind {_ALL}:{hosting.PORT}, not {alone[0]}",
            hosting.ping_failed(),
        )
    return failed(f"{seen}, not on port {hosting.PORT}", f"bind {_ALL}:{hosting.PORT}", hosting.ping_failed())


@asked(
    "H-13",
    "it accepts connections within 250 ms",
    "a longer backlog (listen(128), gunicorn --backlog 2048), and nothing slow where connections are accepted",
)
def accepts(facts: ServingFacts) -> Verdict:
    """Measured on the container's own address."""
    loads = [load.connects for load in facts.loads if load.connects]
    groups = [("at rest", facts.connects), *(("under load", connects) for connects in loads[-1:])]
    seen = "; ".join(f"{what} {1e3 * median(each):.0f} ms, at most {1e3 * max(each):.0f} ms" for what, each in groups)
    if median(facts.connects) > hosting.ACCEPT_SECONDS:
        return failed(seen)
    slow = sum(each > hosting.ACCEPT_SECONDS for each in facts.connects) >= _MANY
    return warned(seen) if slow or (loads and median(loads[-1]) > hosting.ACCEPT_SECONDS) else passed(seen)


@started("H-26", "it starts without a network", "install and download at build time")
def isolated(facts: ServingFacts) -> Verdict:
    """A model may be deployed with network isolation."""
    if facts.isolated is None:
        return skipped(facts.not_isolated)
    if facts.isolated.ready is not None:
        return passed("it had no network")
    if line := network_line(facts.isolated.log):
        return warned(f"without a network: {line}")
    if facts.ready:
        return warned(f"without a network it did not become ready, with one it did\n{facts.isolated.last_lines}")
    return skipped("it did not become ready")


@started(
    "T-51",
    "`serve` works with what `train` made",
    "let `serve` read the files that `train` writes, by the same names",
    also=("H-03", "H-05"),
)
def serves_what_it_trained(facts: ServingFacts) -> Verdict:
    """The model of the training, unpacked as SageMaker does it."""
    if facts.given:
        return skipped("its model is the one of --model")
    if not facts.has_model:
        return skipped(f"no model was there: {facts.without}")
    if line := missing_model(facts):
        return warned(line, cloud=hosting.cannot_start() if facts.start.exit else hosting.ping_failed())
    if facts.ready:
        return passed("it became ready with the model of its training")
    return skipped("it did not become ready")

"""How it answers to requests, one at a time and several at once."""

from __future__ import annotations

import json
import re

from byoc_cli.check.hosting.asking import Answer
from byoc_cli.check.hosting.facts import ServingFacts
from byoc_cli.check.hosting.serve import asked
from byoc_cli.check.model import Verdict, failed, passed, skipped, warned
from byoc_cli.check.training import causes
from byoc_cli.check.training.ran import Ran
from byoc_cli.contract import batch, capabilities, hosting

_SLOW_SECONDS = 30.0
_GAVE_UP = re.compile(r"WORKER TIMEOUT|HARAKIRI|upstream timed out")  # gunicorn, uWSGI, nginx
_STRATEGIES = ("SINGLE_RECORD", "MULTI_RECORD")
# No such place, somewhere else, not without a key, not with Accept: */*.
_NOT_FOR_US = {404, 405, 501, 301, 302, 303, 307, 308, 401, 403, 406}
_ASK_FOR_SAMPLE = "no request is known that it takes: --sample FILE"


def _error(answer: Answer) -> str:
    return hosting.model_error(answer.status, answer.text)


@asked("H-15", "POST /invocations answers a request with 2xx", "see its log; byoc serve and byoc predict show more")
def invocations(facts: ServingFacts) -> Verdict:
    """With the user's sample, or with what it was found to take."""
    if facts.sample:
        return passed(f"{facts.sample.what[:100]}: {facts.answer.status}, {len(facts.answer.body)} bytes")
    request, answer = facts.tries[-1]
    if facts.died and not facts.asked:
        return skipped(f"{facts.died} (H-18)")
    if facts.asked and answer.seconds < hosting.INVOCATION_TIMEOUT_SECONDS:
        return failed(f"{request.what}: {answer.told}", cloud=_error(answer))
    routes = {answer.status for _, answer in facts.tries}
    if routes <= _NOT_FOR_US and not _lacks_model(facts):
        said = ", ".join(map(str, sorted(routes)))
        return failed(f"POST /invocations answers {said} to all of {len(facts.tries)} requests", cloud=_error(answer))
    broken = causes.cause(Ran(code=1, log=facts.log.removeprefix(facts.start.log)))
    if broken and broken.id == causes.ITSELF and min(routes) >= 500:  # no request mends that
        return failed(f"{broken.line}\n{request.what[:60]}: {answer.told}", "install what is missing", _error(answer))
    return skipped(f"{_ASK_FOR_SAMPLE}\nthe last one: {request.what[:60]}: {answer.told}")


def _lacks_model(facts: ServingFacts) -> bool:
    """Whether it was given no model, and says so: a server of models answers 404 then."""
    return not facts.has_model and any("model" in answer.text.lower() for _, answer in facts.tries)


@asked("H-16", "headers that it does not know do it no harm", "pass over headers that the code does not need")
def headers(facts: ServingFacts) -> Verdict:
    """The platform may add some, and a caller has custom attributes."""
    if not facts.sample:
        return skipped(_ASK_FOR_SAMPLE)
    bad = [f"with {name}: {answer.told}" for name, answer in facts.with_headers.items() if not answer.ok]
    if bad:
        answer = next(each for each in facts.with_headers.values() if not each.ok)
        return warned("\n".join(bad), cloud=_error(answer))
    return passed(f"still {facts.answer.status} with {', '.join(facts.with_headers)}")


@asked("H-17", "its answer is of the type that it says", "set the answer's Content-Type to what it is")
def content_type(facts: ServingFacts) -> Verdict:
    """A caller gets it."""
    if not facts.sample:
        return skipped(_ASK_FOR_SAMPLE)
    kind = facts.answer.content_type
    if re.search(r"application/(?:\w+\+)?json\s*(?:;|$)", kind):
        try:
            json.loads(facts.answer.body)
        except ValueError:
            return warned(f"Content-Type: {kind}, and the body is no JSON: {facts.answer.text}")
    if kind.startswith("text/html") and _is_json(facts.answer):
        return warned(
            f"Content-Type: {kind}, and the body is JSON: {facts.answer.text}", "Content-Type: application/json"
        )
    if not kind and facts.answer.body:
        return warned("its answer has no Content-Type")
    return passed(f"Content-Type: {kind}" if kind else "its answer is empty, and of no type")


def _is_json(answer: Answer) -> bool:
    try:
        return isinstance(json.loads(answer.body), dict | list)
    except ValueError:
        return False


@asked("H-19", "an unknown Content-Type is answered 415", "answer 415")
def unknown_type(facts: ServingFacts) -> Verdict:
    """For information: a convention of AWS's toolkits."""
    if not facts.sample:
        return skipped(_ASK_FOR_SAMPLE)
    return passed(f"application/x-unknown: {facts.unknown_type.status or facts.unknown_type.why}")


@asked("H-20", "a request is answered within 60 s", "a smaller request, asynchronous inference, or batch transform")
def latency(facts: ServingFacts) -> Verdict:
    """Of the sample, alone."""
    slowest = max((answer for _, answer in facts.tries), key=lambda answer: answer.seconds)
    if slowest.seconds >= hosting.INVOCATION_TIMEOUT_SECONDS:
        return failed(slowest.told, cloud=hosting.timeout_error())
    if slowest.seconds > _SLOW_SECONDS:
        return warned(f"it took {slowest.seconds:.0f} s", cloud=hosting.timeout_error())
    if facts.sample:
        return passed(f"{1e3 * facts.answer.seconds:.0f} ms")
    gave_up = next((line.strip() for line in facts.log.splitlines() if _GAVE_UP.search(line)), "")
    if gave_up:
        return warned(f"its own server gave up sooner: {gave_up[:200]}", "gunicorn --timeout 60", _error(slowest))
    return skipped(_ASK_FOR_SAMPLE)


@asked(
    "H-24", "pings do not fill its log", "leave /ping out of the access log (nginx: access_log off; in location /ping)"
)
def ping_lines(facts: ServingFacts) -> Verdict:
    """For information: one comes about every 2 s."""
    count = len(re.findall(r"\bGET /ping\b", facts.log))
    return passed(f"{count} lines of its log are about pings" if count else "its log is silent about them")


@asked("H-25", "eight requests at once are answered", "more workers or threads, and a longer backlog")
def at_once(facts: ServingFacts) -> Verdict:
    """The platform does not queue."""
    if not facts.sample:
        return skipped(_ASK_FOR_SAMPLE)
    if not facts.loads:
        return skipped(facts.died or "one request alone keeps /ping waiting (H-10)")
    bad = [[each for each in load.answers if not each.ok] for load in facts.loads]
    if all(bad):
        seen = f"{len(bad[-1])} of {len(facts.loads[-1].answers)} failed: {bad[-1][0].told}"
        return warned(seen, cloud=_error(bad[-1][0]))
    late = [load.late for load in facts.loads]
    if all(late):
        return warned(f"/ping beside them: {late[-1][0].told}", cloud=hosting.ping_failed())
    slowest = max(each.seconds for each in facts.loads[-1].pings) if facts.loads[-1].pings else 0
    return passed(f"{len(facts.loads[-1].answers)} answers, /ping within {1e3 * slowest:.0f} ms")


@asked("H-45", "an answer in parts comes in parts", "flush each part")
def streams(facts: ServingFacts) -> Verdict:
    """For information: InvokeEndpointWithResponseStream passes on what is there."""
    if "chunked" not in facts.answer.headers.get("transfer-encoding", "").lower():
        return skipped("its answer is not chunked")
    return passed(f"the first part after {facts.answer.first:.2f} s, the last after {facts.answer.seconds:.2f} s")


@asked("H-47", "its label speaks true of bidirectional streaming", f"LABEL {capabilities.BIDIRECTIONAL}=true, or none")
def bidirectional(facts: ServingFacts) -> Verdict:
    """A WebSocket at /invocations-bidirectional-stream."""
    claimed = facts.image.image.labels.get(capabilities.BIDIRECTIONAL) == capabilities.CLAIMED
    upgraded = facts.upgrade.status == 101
    if claimed and not upgraded:
        return failed(f"labelled so, and an upgrade to a WebSocket is answered {facts.upgrade.told}")
    if upgraded and not claimed:
        return warned("it upgrades to a WebSocket, and has no label", f"LABEL {capabilities.BIDIRECTIONAL}=true")
    return passed("an upgrade is answered 101") if claimed else skipped("it does not claim it")


@asked(
    "H-56",
    "/execution-parameters has the documented shape, if it is there",
    '{"MaxConcurrentTransforms": 8, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}, or 404',
)
def execution_parameters(facts: ServingFacts) -> Verdict:
    """A batch job reads it; anything but 200 is taken for none."""
    answer = facts.parameters
    if answer.status != 200:
        return passed(f"there is none ({answer.status or answer.why}), which is fine")
    try:
        asked_for = batch.execution_parameters(answer.body)
    except ValueError as error:
        return warned(f"{answer.text}\n{error}", cloud="the batch transform job fails")
    if refused := batch.problems(batch.resolve(batch.Asked(), asked_for)):
        return warned(f"{answer.text}\n{refused[0]}", cloud="the batch transform job fails")
    if json.loads(answer.body).get("BatchStrategy") not in {None, *_STRATEGIES}:
        seen = f"{answer.text}\nBatchStrategy is {' or '.join(_STRATEGIES)}"
        return warned(seen, cloud="the batch transform job fails")
    return passed(answer.text)

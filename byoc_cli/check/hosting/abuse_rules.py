"""What large and wrong requests do to it, and how it stops."""

from __future__ import annotations

import re

from byoc_cli.check.hosting import samples
from byoc_cli.check.hosting.asking import Answer
from byoc_cli.check.hosting.course import TOO_LARGE
from byoc_cli.check.hosting.facts import Abuse, ServingFacts, Stop
from byoc_cli.check.hosting.serve import asked
from byoc_cli.check.model import Verdict, failed, passed, skipped, warned
from byoc_cli.check.static.programs import SHELLS
from byoc_cli.check.training.signals import NO_HANDLER
from byoc_cli.contract import cloud_words, hosting

_TOO_LARGE_WORDS = re.compile(r"(?i)too (?:large|big)|entity too|exceed|maximum (?:request|content|body)")
_ERROR = re.compile(r"(?i)\b(?:error|exception|traceback|invalid|failed|failure)")
_FINE_CODES = {0, 143}


@asked(
    "H-18",
    "a request that makes no sense is answered 4xx, and does no harm",
    "catch what a bad body raises, and answer 400",
)
def bad_requests(facts: ServingFacts) -> Verdict:
    """Neither 5xx nor 200, and the container lives on."""
    if facts.died and not facts.bad and not facts.large:
        return warned(facts.died, cloud=hosting.ping_failed())
    if not facts.bad or facts.unanswered or facts.refused:
        return skipped(facts.died or "what makes sense does not go well either (H-15)")
    if dead := next((each for each in facts.bad if not each.survived), None):
        return warned(_harm(facts, dead), cloud=hosting.ping_failed())
    if broken := [each for each in facts.bad if not 400 <= each.answer.status < 500 and not each.answer.ok]:
        seen = "\n".join(f"{each.what}: {each.answer.told}" for each in broken)
        return warned(seen, cloud=hosting.model_error(broken[0].answer.status, broken[0].answer.text))
    if fooled := [each for each in facts.bad if each.answer.ok and _is_no_answer(facts, each)]:
        return warned(
            f"{fooled[0].what}: {fooled[0].answer.told}", cloud="the caller is told that all went well: no ModelError"
        )
    return passed("; ".join(f"{each.what}: {each.answer.status}" for each in facts.bad))


def _is_empty(answer: Answer) -> bool:
    """Whether it holds nothing: {}, null, {"predictions": []}."""
    return not re.sub(r'(?i)\bnull\b|\bnone\b|"\w+"\s*:|[\s{}\[\],"]', "", answer.text)


def _is_too_large(large: Abuse) -> bool:
    answer = large.answer
    return answer.status == TOO_LARGE or (400 <= answer.status < 500 and bool(_TOO_LARGE_WORDS.search(answer.text)))


def _is_no_answer(facts: ServingFacts, abuse: Abuse) -> bool:
    """Whether an answer of 200 speaks of an error, or holds nothing, and one to a good request does not."""
    asked = (_tells_error,) if abuse.what == samples.NOTHING else (_tells_error, _is_empty)
    return any(tells(abuse.answer) and not tells(facts.answer) for tells in asked)


def _tells_error(answer: Answer) -> bool:
    return bool(_ERROR.search(answer.text))


def _harm(facts: ServingFacts, abuse: Abuse) -> str:
    return facts.died if abuse.exit else f"after {abuse.what}, /ping: {abuse.after.told}"


@asked(
    "H-21",
    "it takes a body of 6 MB",
    "raise the server's limit: client_max_body_size 0 (nginx), MAX_CONTENT_LENGTH (Flask), client_max_size (aiohttp)",
)
def large_requests(facts: ServingFacts) -> Verdict:
    """What comes of it does not matter: an endpoint may be sent 25 MB."""
    if not facts.large:
        return skipped(facts.died)
    large, last = facts.large[0], facts.large[-1]
    if not last.survived:
        return failed(_harm(facts, last), cloud=hosting.ping_failed())
    answer = large.answer
    cloud = hosting.model_error(answer.status, answer.text or answer.why)
    seen = f"{large.what}: {answer.told}"
    if _is_too_large(large):
        took = last is not large and last.answer.status and not _is_too_large(last)
        return warned(f"{seen}; it takes {last.what}", cloud=cloud) if took else failed(seen, cloud=cloud)
    if answer.status:
        same = facts.sample and samples.is_json(facts.sample)  # but for blanks
        fault = same and not answer.ok
        return failed(f"{seen}\nit is what it takes, with blanks in it", cloud=cloud) if fault else passed(seen[:80])
    if facts.unanswered or answer.seconds >= hosting.INVOCATION_TIMEOUT_SECONDS:
        return skipped(f"{large.what}: {answer.why}")
    return failed(f"{large.what}: {answer.why}", cloud=cloud)


@asked(
    "H-07",
    "it ends within 30 s of SIGTERM, and finishes the requests that it has",
    "handle SIGTERM in PID 1: stop listening, finish what is there, then exit",
    also=("I-15",),
)
def stops(facts: ServingFacts) -> Verdict:
    """What has no handler at all is killed after 30 s, as many samples are: a warning."""
    stop = facts.stop
    if stop is None:
        return skipped(facts.died)
    alone = facts.stop_alone
    if stop.killed:
        if alone and not alone.killed:
            return passed(
                f"it ended {alone.seconds:.1f} s after SIGTERM, exit code {alone.exit.code}; a request whose last byte "
                f"was on its way kept it for {stop.waited:.0f} s"
            )
        return _killed(stop)
    flight = stop.flight
    if flight and not flight.status and not facts.unanswered:
        return warned(
            f"{_kind(stop)} when SIGTERM came was not answered: {flight.why}", cloud=hosting.model_error(0, flight.why)
        )
    if flight and stop.real and facts.sample and not flight.ok:
        return warned(
            f"{_kind(stop)} when SIGTERM came was answered {flight.told}",
            cloud=hosting.model_error(flight.status, flight.text),
        )
    code = "" if stop.exit.code in _FINE_CODES else "; 0 or 143 would tell that all is well"
    # A proxy that waits for whole requests has not handed on one whose last byte lacks: its 502 tells nothing.
    answered = f", and the request on its way was answered {flight.status}" if flight else ""
    return passed(f"it ended {stop.seconds:.1f} s after SIGTERM, exit code {stop.exit.code}{code}{answered}")


def _kind(stop: Stop) -> str:
    return "a request that was worked on" if stop.real else "a request whose last byte was on its way"


def _killed(stop: Stop) -> Verdict:
    process, cloud = stop.process, cloud_words.killed_while_stopping()
    if process and not process.takes:
        shell = process.name in SHELLS
        fix = "exec the server, so that it is PID 1 in the shell's place" if shell else ""
        if process.ignores:
            return failed(f"PID 1 ({process.command}) ignores SIGTERM", cloud=cloud)
        return warned(
            f"PID 1 ({process.command}) has {NO_HANDLER}\nit was still running {stop.waited:.0f} s after SIGTERM",
            fix,
            cloud,
        )
    return failed(f"it was still running {stop.waited:.0f} s after SIGTERM, and was killed", cloud=cloud)

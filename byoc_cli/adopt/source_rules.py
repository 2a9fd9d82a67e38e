"""What the sources of `train` and `serve` lack, as far as it stands written in them.

The ids, sentences and remedies are those of `byoc check`, which tries the same with a container that runs. What is
not plain is not said: a word of it anywhere in the program's sources is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from byoc_cli.adopt.chain import Chain, Source
from byoc_cli.adopt.proposal import Missing
from byoc_cli.adopt.reading import Folder
from byoc_cli.check.model import Finding, Verdict, failed, warned
from byoc_cli.check.table import STEPS
from byoc_cli.contract import hosting, paths
from byoc_cli.errors import some

_TOOLKITS = re.compile(
    r"\bsagemaker[-_](?:training|inference|containers)|\bsagemaker_\w+_container\b|multi_model_server"
)
_HANDLES = re.compile(r"SIGTERM|signal\.signal|add_signal_handler|\btrap\b|\bsignal\.Notify\b|setsignal")
_HANDS_OVER = re.compile(r"^\s*exec\s|\bos\.exec\w+\(|^\s*(?:el)?if\b.*\bthen\s+exec\s|[;&|]\s*exec\s", re.MULTILINE)
_OWN_HANDLER = re.compile(
    r"uvicorn\.run|uvicorn\.Server|gunicorn\.app|run_app\(|hypercorn|start_model_server|mlserver|bentoml"
)
_STARTS = re.compile(r"\bsubprocess\b|\bPopen\b|os\.system|serve_forever|\.run\(|make_server|waitress")
_WEB = re.compile(
    r"\b(?:flask|fastapi|starlette|http\.server|aiohttp|tornado|bottle|falcon|django|sanic)\b", re.IGNORECASE
)
# Of a framework that sends requests on by their path; a handler of http.server may answer them all.
_ROUTE = r"""@\w+\.(?:route|get|post|api_route)\(|\badd_(?:url_rule|api_route|route|get|post)\("""
_SERVERS = r"(?:gunicorn|uvicorn|flask|hypercorn|waitress-serve)\b"
_CALLS = r"(?:\.run|run_simple|make_server|run_app|\bserve|uvicorn\.Config)\("
# Of a server only: a client names its database in the same words.
_LOOPBACK = (
    rf"""{_CALLS}[^()]*?(?P<shown>\bhost\s*=\s*["'](?P<address>127\.0\.0\.1|localhost)["'])""",
    rf"""{_SERVERS}[^;]{{0,200}}?(?P<shown>--host["',=\s]+(?P<address>127\.0\.0\.1|localhost)\b)""",
    rf"""{_SERVERS}[^;]{{0,200}}?(?P<shown>(?:--bind|(?<![\w-])-b)["',=\s]+(?P<address>127\.0\.0\.1|localhost):\d+)""",
    r"""(?P<shown>Server\(\s*\(\s*["'](?P<address>127\.0\.0\.1|localhost)["']\s*,)""",
)
_PORTS = (
    rf"""{_CALLS}[^()]*?\bport\s*=\s*(\d{{2,5}})\b""",
    rf"""{_SERVERS}[^\n]*?(?:--port|--bind|-b|-p)["',=\s]+[\d.]*:?(\d{{4,5}})\b""",
    r"""Server\(\s*\(\s*["'][^"']*["']\s*,\s*(\d{2,5})\s*\)""",
)
_NUMBER = re.compile(
    r"""^(?P<indent>\s*)(?P<name>\w+)\s*=\s*(?P<read>(?P<owner>\w+)\.get\(\s*["'](?P<key>[A-Za-z][\w.-]*)["']\s*,\s*"""
    r"""(?P<default>-?\d+(?:\.\d+)?(?:e-?\d+)?)\s*\))\s*(?:#.*)?$""",
    re.MULTILINE,
)
_PYTHON_COMMAND = re.compile(
    r"^(?P<indent>\s*)(?P<command>(?:python[\d.]*|gunicorn|uvicorn|Rscript|java|node)\s[^\n&|;]*[^\s&|;])\s*$",
    re.MULTILINE,
)
_ASTRAY = rf"""(?i:{re.escape(paths.ROOT)}/failure\b|(?:\w+\.)*join\(\s*\w*prefix\w*\s*,\s*["']failure["']\s*\))"""


def finding(id_: str, verdict: Verdict) -> Finding:
    """A verdict as `byoc check` would have it."""
    rules = [rule for step in STEPS for rule in step.rules if rule.id == id_ or id_ in rule.also]
    exact = [rule for rule in rules if rule.id == id_]
    return Finding((exact or rules)[0], verdict, 0.0)


def missing(id_: str, verdict: Verdict, where: str) -> Missing:
    """The same as a Missing; without a fix of its own it has the rule's remedy."""
    found = finding(id_, verdict)
    return Missing(verdict.seen, found.fix, where, found)


def judge(train: Chain, serve: Chain, folder: Folder) -> Iterator[Missing]:
    """Judge both programs."""
    if train.sources:
        for rule in (no_failure_file, failure_astray, stops_badly, numbers, outside):
            yield from rule(train, folder)
    if serve.sources:
        for rule in (stops_badly, loopback, other_port, no_routes):
            yield from rule(serve, folder)


def no_failure_file(chain: Chain, folder: Folder) -> Iterator[Missing]:
    """Nothing speaks of a failure file."""
    if not re.search("failure", chain.text, re.IGNORECASE) and not _TOOLKITS.search(chain.text):
        file = f"{paths.OUTPUT}/{paths.FAILURE_FILE}"
        seen = f"nothing in {_named(chain)} speaks of {file}"
        fix = f"""trap '[ $? = 0 ] || echo "train failed: see its log" > {file}' EXIT"""
        verdict = warned(seen, fix if chain.first.language == "shell" else "")
        yield missing("T-32", verdict, folder.name(chain.first.file, 1))


def failure_astray(chain: Chain, folder: Folder) -> Iterator[Missing]:
    """It is written beside /opt/ml/output, as sagify does."""
    if found := chain.where(_ASTRAY):
        source, match = found
        seen = f"`{match[0].strip()}` lies outside of {paths.OUTPUT}: nobody reads it"
        joined = match[0] if match[0].endswith(")") else ""
        # Where `failure` is a folder, in which a file of that name is made.
        fix = (
            re.sub("failure", "output", joined)
            if re.search(r"join\(\s*[\w.]+\s*,\s*.failure.\s*\)", source.text.replace(joined, ""))
            else ""
        )
        yield missing("T-34", warned(seen, fix if joined else ""), folder.name(source.file, _line(source, match)))


def stops_badly(chain: Chain, folder: Folder) -> Iterator[Missing]:
    """PID 1 has no handler of SIGTERM: it runs on until it is killed."""
    id_, first = "H-07" if chain.word == hosting.COMMAND else "T-40", chain.first
    if chain.init or not first.language or _TOOLKITS.search(chain.text) or _stops(chain):
        return
    call = _call(chain) if first.language == "shell" else None
    if call:
        seen = f"`{call['command']}` runs below a shell without a trap, which hands on no SIGTERM"
        yield missing(id_, warned(seen, f"exec {call['command']}"), folder.name(first.file, _line(first, call)))
        return
    seen = f"nothing in {_named(chain)} handles SIGTERM, which PID 1 then ignores"
    fix = (
        "exec PROGRAM as its last line; or: PROGRAM & trap 'kill $!' TERM; wait $!" if first.language == "shell" else ""
    )
    yield missing(id_, warned(seen, fix), folder.name(first.file, 1))


def _stops(chain: Chain) -> bool:
    """Whether there is a word of a handler: of a shell in itself, for it is PID 1; of Python in what it imports."""
    if chain.first.language == "shell":
        return bool(_HANDLES.search(chain.first.text) or _HANDS_OVER.search(chain.first.text))
    if chain.word == hosting.COMMAND and not _STARTS.search(chain.text):
        return True  # a server in no style that is known here
    return any(pattern.search(chain.text) for pattern in (_HANDLES, _HANDS_OVER, _OWN_HANDLER))


def _call(chain: Chain) -> re.Match[str] | None:
    """The line of a shell script that runs the program, the word itself in it where there are several."""
    calls = list(_PYTHON_COMMAND.finditer(chain.first.text))
    own = [call for call in calls if re.search(rf"\b{chain.word}\b", call["command"])]
    return next(iter(own or (calls if len(calls) == 1 else [])), None)


def numbers(chain: Chain, folder: Folder) -> Iterator[Missing]:
    """A hyperparameter has a number as its default, and nothing makes one of the text that SageMaker gives."""
    for source in chain.sources:
        for found in _NUMBER.finditer(source.text) if source.language == "python" else ():
            name, owner = found["name"], found["owner"]
            is_read = re.search(rf"^\s*{owner}\s*=.*(?:param|hp|json)", source.text, re.MULTILINE | re.IGNORECASE)
            converted = (
                rf"(?:int|float|bool|literal_eval|loads|Decimal|type)\w*\(\s*{name}\b|\b{name}\s*:\s*(?:int|float)"
            )
            all_at_once = r"for \w+, \w+ in [^\n]*\.items\(\)"  # {name: float(text) for name, text in hp.items()}
            if not is_read or re.search(rf"{converted}|{all_at_once}", source.text) or "environ" in owner:
                continue
            kind = "int" if re.fullmatch(r"-?\d+", found["default"]) else "float"
            seen = f"`{found['read']}` gives the text that was set, not a number"
            fix = f"{name} = {kind}({found['read']})"
            yield missing("T-12", failed(seen, fix), folder.name(source.file, _line(source, found, "name")))


def outside(chain: Chain, folder: Folder) -> Iterator[Missing]:
    """Nothing speaks of /opt/ml: the model goes to where nobody collects it."""
    # As one word, or in parts: Path("/") / "opt" / "ml".
    named = r"opt['\"]?\s*[,/]\s*['\"]?ml\b|\bSM_[A-Z]+_|\$@|sys\.argv\["
    if not re.search(named, f"{chain.text}\n{chain.configured}") and not _TOOLKITS.search(chain.text):
        seen = f"nothing in {_named(chain)} speaks of {paths.ROOT}"
        yield missing("T-45", failed(seen), folder.name(chain.first.file, 1))


def loopback(chain: Chain, folder: Folder) -> Iterator[Missing]:
    """The server listens on 127.0.0.1, and no other stands before it."""
    if "nginx" in chain.text:
        return
    for pattern in _LOOPBACK:
        if found := chain.where(pattern):
            source, match = found
            seen = f"`{match['shown']}`: nobody outside of the container reaches that"
            fix = match["shown"].replace(match["address"], "0.0.0.0")  # noqa: S104 - what the contract asks for
            yield missing("H-12", failed(seen, fix), folder.name(source.file, _line(source, match, "shown")))
            return
    flask = chain.where(r"^[ \t]*app\.run\((?![^)]*\bhost\s*=)[^)]*\)")
    if (
        flask
        and re.search(r"\bflask\b", chain.text, re.IGNORECASE)
        and not re.search("gunicorn|waitress|uwsgi", chain.text)
    ):
        source, match = flask
        seen = f"`{match[0].strip()}`: Flask listens on 127.0.0.1 unless it is told otherwise"
        fix = f'app.run(host="0.0.0.0", port={hosting.PORT})'
        yield missing("H-12", failed(seen, fix), folder.name(source.file, _line(source, match, strip=True)))


def other_port(chain: Chain, folder: Folder) -> Iterator[Missing]:
    """A port is named, and it is another one than 8080."""
    if str(hosting.PORT) in chain.text or "SAGEMAKER_BIND_TO_PORT" in chain.text or "nginx" in chain.text:
        return
    for pattern in _PORTS:
        if found := chain.where(pattern):
            source, match = found
            seen = f"it listens on port {match[1]}"
            place = folder.name(source.file, _line(source, match, 1))
            yield missing("H-12", failed(seen, f"{match[1]} becomes {hosting.PORT}"), place)
            return


def no_routes(chain: Chain, folder: Folder) -> Iterator[Missing]:
    """A server of the user's own, and nothing in it speaks of /ping or of /invocations."""
    route = chain.where(_ROUTE)
    takes_all = re.search(r"path:path|<path:|\w+:path\}|<string:path>|/\*", chain.text)
    if not route or takes_all or not _WEB.search(chain.text) or _TOOLKITS.search(chain.text):
        return
    source, match = route
    where, decorated = folder.name(source.file, _line(source, match)), match[0].startswith("@")
    app = match[0][1:].partition(".")[0] if decorated else "app"
    for id_, path, method in (("H-10", "/ping", "GET"), ("H-15", "/invocations", "POST")):
        if path[1:] not in chain.text:
            flask = "flask" in chain.text.lower()
            line = f'@{app}.route("{path}", methods=["{method}"])' if flask else f'@{app}.{method.lower()}("{path}")'
            fix = line if decorated else f"answer {method} {path}"
            yield missing(id_, failed(f"nothing in {_named(chain)} answers {method} {path}", fix), where)


def _named(chain: Chain) -> str:
    return some([source.file.name for source in chain.sources])


def _line(source: Source, match: re.Match[str], group: int | str = 0, *, strip: bool = False) -> int:
    start = match.start(group)
    if strip:
        start += len(match[group]) - len(match[group].lstrip())
    return source.text.count("\n", 0, start) + 1

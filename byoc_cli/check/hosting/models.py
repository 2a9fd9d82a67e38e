"""Many models in one container, where the label says so (H-35 to H-40)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from byoc_cli.check.bench import Bench
from byoc_cli.check.hosting import samples
from byoc_cli.check.hosting.asking import Answer, Request, ask
from byoc_cli.check.hosting.serve import model_of, not_ready
from byoc_cli.check.hosting.server import Refused, Server, Wanted, served
from byoc_cli.check.hosting.starting import Start, wait_until_ready
from byoc_cli.check.model import Step, Verdict, failed, passed, skipped, warned
from byoc_cli.check.static.facts import ImageFacts
from byoc_cli.check.training.guarded import rules_of
from byoc_cli.contract import hosting, multi_model, paths

_FIRST, _SECOND, _UNKNOWN = map(multi_model.name_of, ("first.tar.gz", "second.tar.gz", "unknown.tar.gz"))
_LOAD_SECONDS = 60.0
_NOBODY = {404, 405, 501}


@dataclass(frozen=True)
class ModelsFacts:
    """What the API for many models answered, in the order in which it was asked; `reason` is why it was not."""

    reason: str = ""
    start: Start = field(default_factory=Start)
    trained: bool = False
    loads: tuple[Answer, ...] = ()
    again: Answer = field(default_factory=Answer)
    listed: Answer = field(default_factory=Answer)
    got: Answer = field(default_factory=Answer)
    got_unknown: Answer = field(default_factory=Answer)
    tries: tuple[tuple[Request, Answer], ...] = ()
    invoked: tuple[Answer, ...] = ()
    invoked_unknown: Answer = field(default_factory=Answer)
    deleted: Answer = field(default_factory=Answer)
    got_deleted: Answer = field(default_factory=Answer)

    @property
    def loaded(self) -> bool:
        """Whether both models are there."""
        return bool(self.loads) and all(each.ok for each in self.loads)


def serve(bench: Bench, have: Mapping[str, Any]) -> ModelsFacts:
    """Start it for many models; load two, list, get, invoke, delete."""
    image: ImageFacts = have["static"]
    if not multi_model.capable(image.image.labels):
        return ModelsFacts("it does not claim to serve many models")
    if reason := not_ready(have["serve"]):
        return ModelsFacts(reason)
    model, _ = model_of(bench, have["train-good"])
    environment = {**bench.order.project.serve.environment, **multi_model.ENVIRONMENT}
    models = {paths.multi_model(name): model for name in (_FIRST, _SECOND)}
    try:
        with served(bench, Wanted("models", models, environment=environment)) as server:
            start = wait_until_ready(server, bench.order.timeout)
            if start.ready is None:
                return ModelsFacts(start=start)
            return _asked(bench, server, start, trained=bool(model))
    except Refused:
        return ModelsFacts("it cannot be started (H-01)")


def _asked(bench: Bench, server: Server, start: Start, *, trained: bool) -> ModelsFacts:
    def call(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        bench.check()
        return ask(server.place, method, path, body, headers, timeout=_LOAD_SECONDS)

    def load(name: str) -> Answer:
        return call("POST", multi_model.MODELS_PATH, multi_model.load_body(name), {"Content-Type": "application/json"})

    def invoke(name: str, request: Request) -> Answer:
        more = {hosting.TARGET_MODEL_HEADER: f"{name}.tar.gz"}
        return call("POST", multi_model.invoke_path(name), request.body, request.headers | more)

    loads = (load(_FIRST), load(_SECOND))
    if not all(each.ok for each in loads):
        return ModelsFacts(start=start, trained=trained, loads=loads)
    again, listed = load(_FIRST), call("GET", multi_model.list_path())
    got, got_unknown = (call("GET", multi_model.model_path(name)) for name in (_FIRST, _UNKNOWN))
    tries = _tries(bench, lambda request: invoke(_FIRST, request))
    request = tries[-1][0]
    return ModelsFacts(
        "",
        start,
        trained,
        loads,
        again,
        listed,
        got,
        got_unknown,
        tries,
        (tries[-1][1], invoke(_SECOND, request)),
        invoke(_UNKNOWN, request),
        call("DELETE", multi_model.model_path(_FIRST)),
        call("GET", multi_model.model_path(_FIRST)),
    )


def _tries(bench: Bench, invoke: Callable[[Request], Answer]) -> tuple[tuple[Request, Answer], ...]:
    tries = []
    asked = samples.given(bench.order)
    for request in [asked] if asked else samples.guesses(bench.order):
        tries.append((request, invoke(request)))
        if tries[-1][1].ok:
            break
    return tuple(tries)


SERVE_MODELS: Step[ModelsFacts] = Step(
    "serve-models",
    "serve",
    "loads two models, if its label says that it can",
    serve,
    needs=("static", "train-good", "serve"),
)
rule = rules_of(SERVE_MODELS)
Judge = Callable[[ModelsFacts], Verdict]
_REMEDY = "see the guide's Custom Containers Contract for Multi-Model Mode, or remove the label"


def _of_loaded(id_: str, sentence: str) -> Callable[[Judge], Judge]:
    """Register a rule of a container that has loaded two models."""

    def register(judge: Judge) -> Judge:
        rule(id_, sentence, _REMEDY)(
            lambda facts: judge(facts) if facts.loaded else skipped("it did not load two models")
        )
        return judge

    return register


@rule("H-35", "its label speaks true: it serves many models", _REMEDY)
def claims(facts: ModelsFacts) -> Verdict:
    """With SAGEMAKER_MULTI_MODEL=true."""
    if facts.start.ready is None:
        why = facts.start.last.told if not facts.start.exit else f"it ended with exit code {facts.start.exit.code}"
        return failed(f"with SAGEMAKER_MULTI_MODEL=true it is not ready: {why}\n{facts.start.last_lines}")
    if facts.loads[0].status in _NOBODY:
        return failed(f"labelled so, and POST /models answers {facts.loads[0].told}", cloud="the first call fails")
    return passed("POST /models is there")


@rule("H-36", "POST /models loads a model, and answers 409 to the second time", _REMEDY)
def loads(facts: ModelsFacts) -> Verdict:
    """507 is no memory."""
    if not facts.loads or facts.loads[0].status in _NOBODY:
        return skipped("there is no POST /models (H-35)")
    if facts.loaded:
        if facts.again.status == 409:
            return passed("200, 200, and 409 to the one that is there")
        return failed(f"a model that is there is loaded again: {facts.again.told}, not 409")
    bad = next(each for each in facts.loads if not each.ok)
    if bad.status == multi_model.NO_MEMORY:
        return passed("507: no memory for two models here")
    if not facts.trained:
        return skipped(f"its model was empty: {bad.told}")
    return failed(f"POST /models: {bad.told}")


@_of_loaded("H-37", "GET /models lists the models")
def lists(facts: ModelsFacts) -> Verdict:
    """Names and folders."""
    try:
        names, token = multi_model.page(facts.listed.body)
    except ValueError as error:
        return failed(f"GET /models: {facts.listed.told}\n{error}")
    missing = {_FIRST, _SECOND} - set(names)
    if missing and not token:
        return failed(f"GET /models does not name {', '.join(missing)}: {facts.listed.told}")
    return passed("both are in it" if not missing else "its first page has the documented shape")


@_of_loaded("H-38", "GET /models/NAME knows what is loaded, and what is not")
def gets(facts: ModelsFacts) -> Verdict:
    """200 and 404."""
    if not facts.got.ok:
        return failed(f"of a model that is loaded: {facts.got.told}, not 200")
    if facts.got_unknown.status != 404:
        return failed(f"of one that is not: {facts.got_unknown.told}, not 404")
    return passed("200, and 404 of one that is not loaded")


@_of_loaded("H-39", "DELETE /models/NAME unloads a model")
def deletes(facts: ModelsFacts) -> Verdict:
    """It is gone when the answer comes."""
    if not facts.deleted.ok:
        return failed(f"DELETE: {facts.deleted.told}, not 200")
    if facts.got_deleted.status != 404:
        return failed(f"after DELETE, GET answers {facts.got_deleted.told}, not 404")
    return passed("200, and it is gone")


@_of_loaded("H-40", "POST /models/NAME/invoke asks a model")
def invokes(facts: ModelsFacts) -> Verdict:
    """404 of one that is not loaded, upon which the platform loads it."""
    if facts.invoked_unknown.status != 404:
        return failed(f"of a model that is not loaded: {facts.invoked_unknown.told}, not 404")
    if all(each.ok for each in facts.invoked):
        return passed("both answer, and 404 of one that is not loaded")
    bad = next(each for each in facts.invoked if not each.ok)
    if bad.status in _NOBODY:
        return failed(f"of a model that is loaded: {bad.told}", cloud=hosting.model_error(bad.status, bad.text))
    if facts.invoked[0].ok:
        return warned(f"of the second model: {bad.told}", cloud=hosting.model_error(bad.status, bad.text))
    return skipped(f"no request is known that it takes: --sample FILE\nthe last one: {bad.told}")

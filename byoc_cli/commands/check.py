"""`byoc check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byoc_cli.commands import check_training, train_options
from byoc_cli.commands.options import ImageArgument, Outcome, Session, stdin_bytes
from byoc_cli.contract import hosting
from byoc_cli.errors import ByocError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoc_cli.check.bench import Registry
    from byoc_cli.check.model import Finding
    from byoc_cli.project import Project

EXAMPLES = """
  byoc check
  byoc check my-model:v2 --only serve --skip T-09
  byoc check --channel training=./data --hyperparam epochs=1 --two-hosts
  byoc check --only serve --model ./model.tar.gz --sample cat.png
  byoc check --serverless 2048
  byoc check --strict --junit check.xml --html check.html
  byoc check --registry --region us-west-2
  byoc check --list
"""

_TRAIN = {"train", "train-good"}
"""What has an image train: its group, and who needs its model."""


def check(
    session: Session,
    image: ImageArgument = "",
    only: Annotated[
        list[str],
        typer.Option(
            metavar="WORD,…", help="Only these: train, serve, static, registry, steps, or rules.", show_default=False
        ),
    ] = [],
    skip: Annotated[
        list[str], typer.Option(metavar="WORD,…", help="All but these, in the same words.", show_default=False)
    ] = [],
    channel: train_options.ChannelOption = [],
    hyperparam: train_options.HyperparamOption = [],
    two_hosts: Annotated[bool, typer.Option("--two-hosts", help="Let two hosts train together, too.")] = False,
    sample: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="A request that /invocations takes, as for predict; - is standard input.",
            show_default=False,
        ),
    ] = "",
    model: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="A folder or a model.tar.gz that it serves; what its training makes without it.",
            show_default=False,
        ),
    ] = "",
    serverless: Annotated[
        int | None,
        typer.Option(
            metavar="MB", help="Start it as a serverless endpoint of that memory, too: 2048.", show_default=False
        ),
    ] = None,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="How long a step waits for the image: 90s, 10m.", show_default=True)
    ] = "60s",
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings, too.")] = False,
    registry: Annotated[bool, typer.Option("--registry", help="Look at what ECR has of the image, too.")] = False,
    region: Annotated[
        str,
        typer.Option(
            metavar="R",
            help="With --registry: the AWS region; that of an ECR name, AWS_REGION or the profile's without it.",
        ),
    ] = "",
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="With --registry: the AWS profile.", envvar="BYOC_PROFILE")
    ] = "",
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings as JUnit XML, too.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings as one page, too.", show_default=False)
    ] = None,
    list_rules: Annotated[
        bool, typer.Option("--list", help="List the rules that can be checked, and do nothing.")
    ] = False,
) -> Outcome:
    """Check an image against SageMaker's container contract, rule by rule, before a job costs.

    It reads the image's configuration and files, then lets it train: as well as it can, with hyperparameters that are
    no JSON, and with SIGTERM in the middle; with --two-hosts on two hosts. It trains on the project's channels and with
    its hyperparameters, as `byoc local-train` does, but without a network first; without any channel it gets a small
    CSV file as the channel `training`.

    Then it lets it serve the model that it made, or that of --model: asks /ping and /invocations, eight at once, with
    6 MB, with nonsense, and stops it with a request on its way; on another port; and as its labels say. What it sends
    is --sample, else what the project file names ([predict] sample), else the first of some usual requests that the
    container takes.

    A broken MUST fails, a broken SHOULD warns; what could not be tried is skipped, with the reason. Each finding says
    what was seen, what the cloud would say, what to do, and where the rule stands. Ends with 1 if a MUST is broken;
    with --strict if anything is.

    With --json: an object with image, rules (each with id, level, result: pass, warn, fail or skip, seen, cloud, fix,
    source, and seconds of the step that shows it), summary (how many of each result). With --list: a list of objects
    with id, level, step, sentence, remedy, source.
    """
    from byoc_cli import payload
    from byoc_cli.check import report, selection
    from byoc_cli.check.bench import Benches, Order
    from byoc_cli.check.runner import check as run
    from byoc_cli.check.table import STEPS
    from byoc_cli.console import check_view
    from byoc_cli.local.hosting import model_of

    words = {"registry": registry, "train-hosts": two_hosts, "serve-serverless": serverless is not None}
    steps = [name for name, wanted in words.items() if wanted or list_rules]
    rules = selection.chosen(STEPS, only, skip, asked=steps)
    if list_rules:
        rows = [
            {
                "id": each.id,
                "level": each.level,
                "step": each.step.name,
                "sentence": each.sentence,
                "remedy": each.remedy,
                "source": each.source,
            }
            for each in rules
        ]
        return Outcome(rows, lambda console: check_view.show_rules(console, rules))
    for option, file in (("--junit", junit), ("--html", html)):
        _check_writable(option, file)
    project = session.project()
    seconds = train_options.seconds(timeout, "--timeout") or 0
    megabytes = _serverless(serverless)
    stdin = stdin_bytes() if sample == "-" else b""
    served = model_of(project, model) if model else None
    sample = sample or payload.sample(project)
    request = payload.load(sample, project.predict, stdin=stdin) if sample else None
    wanted = check_training.asked(session, project, session.reference(image, project), channel, hyperparam)
    place = _registry(project, image, region, profile, wanted=any(rule.step.name == "registry" for rule in rules))
    reference, found = session.image(image, project)
    if any({rule.step.group, *(() if model else rule.step.needs)} & _TRAIN for rule in rules):
        wanted = check_training.with_data(session, wanted, channel)
    order = Order(
        project,
        reference,
        found,
        place,
        wanted.job,
        wanted.reason,
        served,
        request,
        megabytes,
        timeout=seconds,
    )
    with check_view.CheckView(session.console) as view:
        findings = run(STEPS, rules, Benches(order, session.doors.connect), view)
    _write(reference, findings, junit, html, strict=strict)
    data = report.data(reference, findings)
    if broken := [each.rule.id for each in findings if each.result == "fail" or (strict and each.result == "warn")]:
        if not session.console.as_json:
            check_view.show(session.console, reference, findings)
        raise ByocError(
            f"{reference} does not keep SageMaker's contract\n{', '.join(broken)}",
            hint="each finding above says what to do (fix), and docs/check.md what is checked",
            result=data,
        )
    return Outcome(data, lambda console: check_view.show(console, reference, findings))


def _serverless(megabytes: int | None) -> int:
    """Read --serverless.

    Raises:
        UsageError: an endpoint has no such memory.

    """
    if megabytes is None:
        return hosting.SERVERLESS_MEMORY_MB[1]
    if megabytes not in hosting.SERVERLESS_MEMORY_MB:
        sizes = ", ".join(map(str, hosting.SERVERLESS_MEMORY_MB))
        raise UsageError(f"--serverless {megabytes}: its memory is one of {sizes} MB (H-65)")
    return megabytes


def _registry(project: Project, image: str, region: str, profile: str, *, wanted: bool) -> Registry | None:
    """Where to look for the image in ECR: by its own name, if that is ECR's, else as `byoc push` would name it.

    Raises:
        UsageError: options of --registry without it; no region; a name that ECR does not take.

    """
    if not wanted:
        if region:
            raise UsageError("--region goes with --registry", hint="byoc check --registry --region …")
        return None
    from byoc_cli import image_ref
    from byoc_cli.check.bench import Registry
    from byoc_cli.cloud import account
    from byoc_cli.commands import push_words

    named = image or project.image
    place = None if named.startswith("sha256:") else image_ref.parse(named).ecr
    regions = account.regions([region or (place[1] if place else "")] if region or place else [], profile)
    repository, tag = push_words.names_of(project, named, "", "")
    return Registry(regions[0], repository, tag, profile)


def _check_writable(option: str, file: Path | None) -> None:
    if file is None:
        return
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise UsageError(f"{option} {file} cannot be written\nthat is no file in a folder that exists")


def _write(reference: str, findings: Sequence[Finding], junit: Path | None, html: Path | None, *, strict: bool) -> None:
    from datetime import datetime

    from byoc_cli import __version__
    from byoc_cli.check.report.junit import junit as as_junit
    from byoc_cli.check.report.page import page

    pages = {}
    if junit:
        pages[junit] = as_junit(reference, findings, strict=strict)
    if html:
        when = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
        pages[html] = page(reference, findings, when=when, version=__version__)
    for file, text in pages.items():
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ByocError(f"{file} cannot be written\n{error.strerror}", hint="give another file") from error

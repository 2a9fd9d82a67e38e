"""The words of `byoc serve` about its containers: which images, and what each of several is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from byoc_cli.commands.options import Session, environment, refuse
from byoc_cli.contract import capabilities, hosting
from byoc_cli.errors import ByocError, UsageError

if TYPE_CHECKING:
    from byoc_cli.local.hosting import Definition
    from byoc_cli.project import Project

NO_MODEL = "none"


@dataclass(frozen=True)
class Containers:
    """What was said of the containers, before anything was looked up; `images` has "" for the project's own."""

    hostnames: Sequence[str]
    images: Sequence[str]
    environments: Sequence[Mapping[str, str]]
    models: Sequence[str]

    @property
    def several(self) -> bool:
        """Whether the endpoint has more than one."""
        return len(self.images) > 1


def containers(
    session: Session,
    project: Project,
    words: Sequence[str],
    models: Sequence[str],
    env: Sequence[str],
    file: Path | None,
) -> Containers:
    """Read `[NAME=]IMAGE...`, --model, --env and --env-file.

    Raises:
        UsageError: SageMaker would refuse it, or it cannot be understood.

    """
    hostnames, images = [hosting.PRIMARY], list(words or [""])
    if len(words) > 1:
        split = [word.rpartition("=") for word in words]
        hostnames = [name if equals else hosting.hostname(index) for index, (name, equals, _) in enumerate(split)]
        images = [image for _, _, image in split]
        refuse(hosting.hostname_problems(hostnames))
    for image in images:
        session.reference(image, project)
    environments = [
        {**project.serve.environment, **own} for own in _environments(hostnames, env, file, session.console.warn)
    ]
    refuse(list(dict.fromkeys(problem for each in environments for problem in hosting.environment_problems(each))))
    if models and len(models) != len(images):
        raise UsageError(
            f"{len(models)} --model for {len(images)} image{'s' if len(images) > 1 else ''}",
            hint=f"one for each image, in their order; --model {NO_MODEL} for an empty /opt/ml/model",
        )
    return Containers(hostnames, images, environments, models)


def _environments(
    hostnames: Sequence[str], given: Sequence[str], file: Path | None, warn: Callable[[str], None]
) -> list[dict[str, str]]:
    """Deal K=V to all containers and NAME:K=V to the one of that name, which wins."""
    if len(hostnames) == 1:
        return [environment(given, file, warn)]
    of_all, own = [], {name: list[str]() for name in hostnames}
    for value in given:
        name, colon, rest = value.partition(":")
        if not colon or "=" in name:
            of_all.append(value)
        elif name in own:
            own[name].append(rest)
        else:
            raise UsageError(
                f"--env {value}: there is no container '{name}'",
                hint=f"--env NAME:K=V, NAME being one of {', '.join(hostnames)}; --env K=V is for all",
            )
    shared = environment(of_all, file, warn)
    return [shared | environment(own[name], None, warn) for name in hostnames]


def definitions(session: Session, project: Project, said: Containers, many: Path | None) -> list[Definition]:
    """Look up images and models; `many` is a folder of many models.

    Raises:
        ByocError: an image is not there, may not be one of several (H-31), or may not have many models (H-35).

    """
    from byoc_cli.local.hosting import Definition, check_multi_model

    models = [None] if many else models_of(session, project, said)
    found = []
    for image, hostname, model, variables in zip(said.images, said.hostnames, models, said.environments, strict=True):
        reference, looked_up = session.image(image, project)
        if said.several and (problem := hosting.label_problem(reference, looked_up.labels)):
            raise ByocError(
                f"{hostname} may not be one of several containers\nSageMaker would say: {problem}",
                hint=f"LABEL {capabilities.BIND_TO_PORT}=true in its Dockerfile, and a `serve` that listens on the "
                f"port in {hosting.BIND_TO_PORT} (H-30, H-31)",
            )
        if many:
            check_multi_model(looked_up, reference)
        found.append(Definition(looked_up, reference, model, variables, hostname))
    if empty := [each.hostname for each in found if not (each.model or said.models or many)]:
        if said.several:
            hint = f"--model PATH for each image, in their order; --model {NO_MODEL} says it for one"
            session.console.warn(f"/opt/ml/model is empty in {', '.join(empty)}", hint)
        else:
            session.console.warn(
                "there is no trained model: /opt/ml/model is empty", "byoc local-train, or --model PATH"
            )
    return found


def given_models(session: Session, project: Project, said: Containers) -> list[str | None]:
    """Return what each container's model is by the command line: a path, "" for the last run's, None for none.

    Without any the last run's is that of whoever has the project's image.
    """
    if said.models:
        return [None if each == NO_MODEL else each for each in said.models]
    own = session.reference("", project)
    return ["" if session.reference(image, project) == own or not said.several else None for image in said.images]


def models_of(session: Session, project: Project, said: Containers) -> list[Path | None]:
    """Look up the models.

    Raises:
        UsageError: --model names none.

    """
    from byoc_cli.local.hosting import model_of

    given = given_models(session, project, said)
    return [None if each is None else model_of(project, each) for each in given]

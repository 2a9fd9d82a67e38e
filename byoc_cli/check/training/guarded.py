"""Rules whose facts may be missing for a reason: they are skipped with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from byoc_cli.check.model import Step, Verdict, skipped


class Reasoned(Protocol):
    """Facts that were not gathered if `reason` says why."""

    @property
    def reason(self) -> str:
        """Why not, "" where they were."""


F = TypeVar("F", bound=Reasoned)
Judge = Callable[[F], Verdict]


def rules_of(step: Step[F]) -> Callable[..., Callable[[Judge[F]], Judge[F]]]:
    """Give what registers a rule of the step, as `Step.rule` does."""

    def rule(id_: str, sentence: str, remedy: str, *, also: Sequence[str] = ()) -> Callable[[Judge[F]], Judge[F]]:
        def register(judge: Judge[F]) -> Judge[F]:
            step.rule(id_, sentence, remedy, also=also)(
                lambda facts: skipped(facts.reason) if facts.reason else judge(facts)
            )
            return judge

        return register

    return rule

"""The rules of SageMaker's container contract, as data: what docs/contract.md and the checks are made from. Pure.

Ids are never reused or renumbered: T-… is training, H-… hosting, I-… the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from byoc_cli.contract.rules import hosting, image, training
from byoc_cli.contract.rules.rule import Level, Rule

__all__ = ["RULES", "Level", "Rule"]

RULES: Mapping[str, Rule] = MappingProxyType(
    {each.id: each for each in (*training.RULES, *hosting.RULES, *image.RULES)}
)
"""Every rule by its id, in reading order."""

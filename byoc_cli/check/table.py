"""All steps, in the order of the report; importing this registers every rule.

A step is a module or package with a `Step`; a new one is a line here, and whoever is needed stands before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from byoc_cli.check.hosting import abuse_rules, request_rules
from byoc_cli.check.hosting import start_rules as serving_rules
from byoc_cli.check.hosting.models import SERVE_MODELS
from byoc_cli.check.hosting.port import SERVE_PORT
from byoc_cli.check.hosting.serve import SERVE
from byoc_cli.check.hosting.serverless import SERVE_SERVERLESS
from byoc_cli.check.model import Step
from byoc_cli.check.registry import REGISTRY
from byoc_cli.check.static import STATIC, config_rules, entrypoint_rules, exec_rules, file_rules, start_rules
from byoc_cli.check.training import input_rules, place_rules, result_rules
from byoc_cli.check.training.bad import TRAIN_BAD
from byoc_cli.check.training.good import TRAIN_GOOD
from byoc_cli.check.training.hosts import TRAIN_HOSTS
from byoc_cli.check.training.stop import TRAIN_STOP
from byoc_cli.check.training.strings import TRAIN_STRINGS

RULE_MODULES = (config_rules, entrypoint_rules, exec_rules, file_rules, start_rules)
TRAINING_RULE_MODULES = (input_rules, result_rules, place_rules)
SERVING_RULE_MODULES = (serving_rules, request_rules, abuse_rules)

STEPS: Sequence[Step[Any]] = (
    STATIC,
    REGISTRY,
    TRAIN_GOOD,
    TRAIN_STRINGS,
    TRAIN_BAD,
    TRAIN_STOP,
    TRAIN_HOSTS,
    SERVE,
    SERVE_PORT,
    SERVE_MODELS,
    SERVE_SERVERLESS,
)

"""How `ModelTrainer` of SDK v3 starts an image (T-09): not `IMAGE train`, but its own drivers, from a channel. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from byoc_cli.contract import channels, paths
from byoc_cli.contract.training import ChannelConfig

PROFILE = "sdk-v3"
PROFILES = ("image", PROFILE)  # how an image is started: as the platform does, or as ModelTrainer has it started

CODE = "code"  # the channel of SourceCode.source_dir
DRIVERS = "sm_drivers"
SCRIPT = f"{paths.channel(DRIVERS)}/sm_train.sh"
ENTRYPOINT = ("/bin/bash",)
ARGUMENTS = ("-c", f"chmod +x {SCRIPT} && {SCRIPT}")
ENTRY_SCRIPTS = (".py", ".sh")


def problems(configs: Mapping[str, ChannelConfig], entry_script: str) -> list[str]:
    """What would fail in the cloud of a job's channels and its SourceCode.entry_script, "" where there is none."""
    found = []
    if entry_script and not entry_script.endswith(ENTRY_SCRIPTS):
        found.append(f"entry script '{entry_script}': ModelTrainer takes {' and '.join(ENTRY_SCRIPTS)} only (T-09)")
    if entry_script.startswith("/") or ".." in entry_script.split("/"):
        found.append(f"entry script '{entry_script}': it has to be relative to the channel '{CODE}' (T-09)")
    return found + channels.script_problems([f"{paths.channel(CODE)}/{entry_script}", SCRIPT], configs)

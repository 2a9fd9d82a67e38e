"""Put the templates into the wheel, and into the source archive from which it is built: what git ignores stays behind.

Hatch's own `force-include` would take whatever lies in these folders, a data set of 200 MB among it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Templates(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling as it builds."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add each file of each template; an editable installation finds them where they are."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from byoc_cli import templates

        top = Path(self.root)
        target = f"byoc_cli/{templates.IN_WHEEL}" if self.target_name == "wheel" else "templates"
        for template in templates.available(top / "templates"):
            for name in templates.files(template.folder, top):
                build_data["force_include"][str(template.folder / name)] = f"{target}/{template.name}/{name}"

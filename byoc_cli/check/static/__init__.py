"""The static part: what can be known of an image without starting it."""

from __future__ import annotations

from byoc_cli.check.model import Step
from byoc_cli.check.static.facts import ImageFacts, read

STATIC: Step[ImageFacts] = Step("static", "static", "reads the image's configuration and files, starts nothing", read)

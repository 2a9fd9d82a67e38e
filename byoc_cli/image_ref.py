"""Image names: parse and compose. Pure.

The grammar is that of github.com/distribution/reference; what is checked here is what a person gets wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from byoc_cli.errors import UsageError

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"\w[\w.-]{0,127}"
_REFERENCE = re.compile(
    rf"(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{{32,}}))?",
    re.ASCII,
)
ECR_HOST = re.compile(
    r"^(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d)\."
    r"(?:amazonaws\.|on\.aws|on\.amazonwebservices\.|c2s\.|sc2s\.|cloud\.adc|csp\.)"
)
"""An ECR registry in any partition: the account that owns it and its region."""


@dataclass(frozen=True)
class ImageRef:
    """`[host/]path[:tag][@digest]`; `host` is "" for Docker Hub and for local names."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        """Compose the reference as it was given."""
        name = f"{self.host}/{self.path}" if self.host else self.path
        return name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def tagged(self) -> ImageRef:
        """The same with the tag `latest` where neither tag nor digest is given."""
        return self if self.tag or self.digest else ImageRef(self.host, self.path, "latest")

    @property
    def short(self) -> str:
        """The last part of the path, without tag: a name for people and for jobs."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def ecr(self) -> tuple[str, str] | None:
        """(account, region) of an ECR registry, else None."""
        found = ECR_HOST.match(self.host)
        return (found["account"], found["region"]) if found else None


def parse(text: str) -> ImageRef:
    """Parse an image reference.

    Raises:
        UsageError: the text is no image reference; says the likeliest reason.

    """
    host, slash, rest = text.partition("/")
    # As Docker does: the first part is a host only with a dot, a port, or the name localhost.
    is_host = bool(slash) and ("." in host or ":" in host or host == "localhost")
    found = _REFERENCE.fullmatch(rest if is_host else text)
    if is_host and not re.fullmatch(_HOST, host):
        found = None
    if found is None:
        raise UsageError(f"'{text}' is not an image name\n{_why(text)}", hint="for example: my-model:v1")
    return ImageRef(host if is_host else "", found["path"], found["tag"] or "", found["digest"] or "")


def tag_problem(tag: str) -> str:
    """Why no registry would take a tag, or ""."""
    if re.fullmatch(_TAG, tag, re.ASCII):
        return ""
    return "a tag is 1 to 128 letters, digits, '_', '.' and '-', and begins with none of the last two"


def _why(text: str) -> str:
    if not text.strip():
        return "it is empty"
    if "://" in text:
        return "there is no '://' in it"
    if text.lower() != text:
        return "image names are lower case (only a tag may have capitals)"
    if text.startswith("-"):
        return "a name starts with a letter or a digit"
    return "a name is letters, digits, '.', '_', '-' and '/', with an optional ':tag'"


def slug(text: str) -> str:
    """Turn any folder name into a valid image name; "image" where nothing is left of it."""
    return re.sub(r"[._-]{2,}", "-", re.sub(r"[^a-z0-9._-]+", "-", text.lower())).strip("._-") or "image"

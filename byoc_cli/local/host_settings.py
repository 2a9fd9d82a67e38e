"""What a build behind a company's proxy needs of this host: its CA bundle, its pip configuration, its proxies.

Offered as build secrets (`ca`, `pipconf`), so that nothing of them stays in an image.
"""

from __future__ import annotations

import configparser
import io
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

CA_SECRET = "ca"  # noqa: S105 - a secret's id
PIP_SECRET = "pipconf"  # noqa: S105
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, Alpine
)
_BUNDLE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
# Where packages come from and how to reach it. Paths of this host (cert, cache-dir, …) mean nothing in a build.
_PIP_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries", "no-index", "find-links")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY", "ALL_PROXY")


def ca_bundle(environ: Mapping[str, str]) -> Path | None:
    """Return the CA bundle that this host's own tools use."""
    for candidate in (*(environ.get(name, "") for name in _BUNDLE_VARIABLES), *_BUNDLES):
        if candidate and os.access(candidate, os.R_OK) and Path(candidate).is_file():
            return Path(candidate)
    return None


def pip_configuration(environ: Mapping[str, str]) -> str:
    """Merge this host's pip configuration into the text of one pip.conf; "" where it has none.

    pip's own order: site, user, virtual environment, PIP_CONFIG_FILE, then PIP_* variables. Read here and not asked
    of pip: byoc may be installed where pip is not, and to start pip takes half a second.
    """
    options: dict[str, str] = {}
    for file in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself will tell its user
        for section in ("global", "install"):
            if parser.has_section(section):
                options |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    for name in _PIP_OPTIONS:
        if value := environ.get("PIP_" + name.upper().replace("-", "_")):
            options[name] = value
    return _pip_text({name: options[name] for name in _PIP_OPTIONS if name in options})


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME") or Path.home())
    for folder in reversed(environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)):
        yield Path(folder) / "pip" / "pip.conf"
    yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield home / "Library" / "Application Support" / "pip" / "pip.conf"
    yield Path(environ.get("VIRTUAL_ENV") or sys.prefix) / "pip.conf"
    if chosen := environ.get("PIP_CONFIG_FILE"):
        yield Path(chosen)


def _pip_text(options: Mapping[str, str]) -> str:
    kept: dict[str, str] = {}
    for name, value in options.items():
        words = value.split()
        if name.endswith(("index-url", "find-links")):
            words = [word for word in words if urlsplit(word).scheme in {"http", "https"}]
        if words:
            kept[name] = "\n".join(words)
    if not kept:
        return ""
    parser = configparser.RawConfigParser()
    parser["global"] = kept
    buffer = io.StringIO()
    parser.write(buffer)
    return buffer.getvalue()


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Proxy settings: build arguments that the builder knows by itself and keeps out of the history."""
    return {name: environ[name] for upper in _PROXY_VARIABLES for name in (upper, upper.lower()) if environ.get(name)}

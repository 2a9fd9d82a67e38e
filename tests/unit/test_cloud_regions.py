"""Several regions at once; and where a registry's name comes from."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

import byoc_cli
from byoc_cli.cloud.regions import Stop, side_by_side
from byoc_cli.errors import ByocError


def test_each_region_has_its_own_end() -> None:
    together = threading.Barrier(2, timeout=60)

    def one(region: str, _: Stop) -> str:
        together.wait()  # both are under way at once
        if region == "b":
            raise ByocError("b is down")
        return f"done in {region}"

    results = side_by_side(["a", "b"], one)
    assert results["a"] == "done in a"
    assert isinstance(results["b"], ByocError)
    assert list(results) == ["a", "b"]


def test_what_is_no_error_of_ours_is_not_swallowed() -> None:
    def one(_region: str, _stop: Stop) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        side_by_side(["a", "b"], one)


def test_a_stop_ends_a_sleep() -> None:
    stop = Stop()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(ByocError, match="interrupted"):
        stop.sleep(30)
    with pytest.raises(ByocError, match="interrupted"):
        stop.check()


def test_no_code_composes_a_registry_s_host() -> None:
    """So that China, GovCloud, the isolated partitions, FIPS and dual-stack come for free."""
    package = Path(byoc_cli.__file__).parent
    # The contract's rules are text: labels and principals have such names, too.
    words = {*(package / "contract" / "rules").iterdir(), package / "contract" / "capabilities.py"}
    sources = set(package.rglob("*.py")) - words
    composes = re.compile(r"\bdkr[.-]ecr|\.dkr\b|amazonaws\.")
    found = [
        f"{source.name}: {line.strip()}"
        for source in sources
        for line in source.read_text(encoding="utf-8").splitlines()
        if composes.search(line) and not line.lstrip().startswith(("#", "byoc login --region"))
    ]
    # The one line that knows such a name takes it apart: whose registry a base image is in.
    assert [line for line in found if not line.startswith("image_ref.py: ")] == []

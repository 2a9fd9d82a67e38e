"""T-45 to T-48: what comes back. (Of one host: tests/integration/test_local_train.py.)"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest

from tests.integration.training.lab import Probed, contents

pytestmark = pytest.mark.integration

MERGED = {"below/algo-1": "algo-1", "below/algo-2": "algo-2", "below/same": "same\n", "clash": "algo-1"}


def names(archive: Path) -> list[str]:
    with tarfile.open(archive, "r:gz") as tar:
        return tar.getnames()


def test_t47_what_two_hosts_leave_is_merged(two: Probed) -> None:
    assert contents(two.folder / "model") == contents(two.folder / "output/data") == MERGED
    assert contents(two.folder / "output") == {
        **{f"data/{name}": text for name, text in MERGED.items()},
        "beside": "algo-1",
        "success": "",
    }
    in_archive = ["below", "below/algo-1", "below/algo-2", "below/same", "clash"]
    assert names(two.folder / "model.tar.gz") == names(two.folder / "output.tar.gz") == in_archive


def test_t47_each_host_s_own_is_kept(two: Probed) -> None:
    for host in ("algo-1", "algo-2"):
        own = {f"below/{host}": host, "below/same": "same\n", "clash": host}
        assert contents(two.folder / "hosts" / host / "model") == own
        assert contents(two.folder / "hosts" / host / "output" / "data") == own


_WRITE_ONCE = "write it on one host only, or under the host's name"


def test_t47_t53_every_clash_is_named_with_its_hosts(two: Probed) -> None:
    assert re.findall(r"^warning: (.*)\nhint: (.*)$", two.ran.stderr, re.MULTILINE) == [
        (
            f"/opt/ml/{path} is not the same on algo-1 and algo-2: only one of them is kept ({rule})",
            remedy,
        )
        for path, rule, remedy in (
            *((path, "T-47", _WRITE_ONCE) for path in ("model/clash", "output/beside", "output/data/clash")),
            ("checkpoints/clash", "T-53", "give checkpoints the host's name, or write them on one host only"),
        )
    ]


def test_t48_a_model_is_a_folder_and_an_archive(full: Probed) -> None:
    assert contents(full.folder / "model") == {
        "attempt-3": "x",
        "below/algo-1": "algo-1",
        "below/same": "same\n",
        "clash": "algo-1",
    }
    assert names(full.folder / "model.tar.gz") == ["attempt-3", "below", "below/algo-1", "below/same", "clash"]

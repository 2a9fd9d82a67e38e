"""The fake engine does what the real one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine_contract import PROGRAMS, EngineContract
from tests.fakes import FakeEngine


class TestFakeEngine(EngineContract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> FakeEngine:
        return FakeEngine(tmp_path / "engine")

    @pytest.fixture
    def image(self, engine: FakeEngine) -> str:
        engine.add_image("contract:1", {name: program for name, (program, _) in PROGRAMS.items()})
        return "contract:1"

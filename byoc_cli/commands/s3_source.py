"""How a job gets at data in S3: downloaded once, with the user's own AWS credentials."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc_cli.errors import UsageError

if TYPE_CHECKING:
    from byoc_cli.console import Console


class S3Source:
    """A `Fetch` of local.channels.sources; AWS is asked when the first channel needs it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @cached_property
    def _client(self) -> Any:
        from byoc_cli.cloud import s3  # late: most jobs need no AWS

        return s3.connect()

    def __call__(self, uri: str, names: tuple[str, ...] | None, *, whole_folder: bool) -> tuple[Path, str]:
        """Give (folder, the URI that its files are relative to)."""
        from byoc_cli.cloud import s3

        listed = s3.listing(self._client, uri, names)
        if whole_folder and not listed.whole:
            raise UsageError(
                f"mode=FastFile needs a whole folder, and {uri} is only the beginning of a key (T-59)",
                hint=f"{listed.root}, or mode=File",
            )
        return s3.folder(self._client, listed, self._console.log, self._console.bytes_done), listed.root

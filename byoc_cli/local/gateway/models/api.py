"""What a container of many models is asked (H-36 to H-39)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from byoc_cli.contract import multi_model
from byoc_cli.local.gateway.upstream import Upstream

_ERROR_BYTES = 64 * 1024
_PAGES = 1000  # a token that leads round and round
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_ACCEPT = {"Accept": "application/json"}


class Api:
    """Loads, lists and unloads; who calls limits the time.

    Each raises aiohttp.ClientError where nothing answers.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def load(self, name: str, headers: dict[str, str]) -> tuple[int, str]:
        """Load a model (H-36): the status, and what was said."""
        async with self._upstream.ask(
            "POST", multi_model.MODELS_PATH, headers=headers | _JSON, data=multi_model.load_body(name)
        ) as answer:
            return answer.status, (await answer.content.read(_ERROR_BYTES)).decode(errors="replace")

    async def unload(self, name: str) -> tuple[int, str]:
        """Unload a model (H-39); its memory is free when this returns."""
        async with self._upstream.ask("DELETE", multi_model.model_path(_quoted(name))) as answer:
            return answer.status, (await answer.content.read(_ERROR_BYTES)).decode(errors="replace")

    async def has(self, name: str) -> bool:
        """Whether a model is loaded (H-38)."""
        async with self._upstream.ask("GET", multi_model.model_path(_quoted(name)), headers=_ACCEPT) as answer:
            return answer.status == 200

    async def loaded(self) -> Sequence[str]:
        """Name the models that are loaded, page by page (H-37).

        Raises:
            ValueError: the container answers something else.

        """
        names: list[str] = []
        token = ""
        for _ in range(_PAGES):
            async with self._upstream.ask("GET", multi_model.list_path(_quoted(token)), headers=_ACCEPT) as answer:
                body = await answer.read()
            if answer.status != 200:
                raise ValueError(f"GET /models answers {answer.status}, not 200")
            more, token = multi_model.page(body)
            names += more
            if not token:
                break
        return names


def _quoted(word: str) -> str:
    # Names may be the container's own, tokens are.
    return quote(word, safe="")

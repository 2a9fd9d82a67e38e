"""Many models behind one container (H-35 to H-40).

`store.py` has their files, `api.py` asks the container, `cache.py` decides which of them it has loaded.
"""

from byoc_cli.local.gateway.models.cache import ModelFailed, Models
from byoc_cli.local.gateway.models.store import Store

__all__ = ["ModelFailed", "Models", "Store"]

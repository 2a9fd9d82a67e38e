"""torchrun, also for a PyTorch that was built without libuv, as Debian's is: by itself it insists on that.

Where PyTorch has libuv, `python3 -m torch.distributed.run` does nearly the same: there the first host may end while the
others still wait for its word that all is over, of which they then say a lot.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from torch.distributed import TCPStore, run
from torch.distributed.elastic.rendezvous import static_tcp_rendezvous

LAST_SECONDS = 30  # that the first host waits for the others at the end


def main() -> None:
    """Run what the command line says; ends the process with an error if a host's part failed."""
    made: list[tuple[TCPStore, int, bool]] = []

    def make_store(address: str, port: int, hosts: int, first: bool, timeout: timedelta, **named: Any) -> TCPStore:
        store = TCPStore(address, port, hosts, first, timeout, **named, use_libuv=False)
        made.append((store, hosts, first))
        return store

    static_tcp_rendezvous.TCPStore = make_store
    run.main()
    for each in made:
        end(*each)


def end(store: TCPStore, hosts: int, first: bool) -> None:
    """Let the first host, which keeps the store, end last."""
    store.add("ended", 1)
    deadline = time.monotonic() + LAST_SECONDS
    while first and store.add("ended", 0) < hosts and time.monotonic() < deadline:
        time.sleep(0.05)


if __name__ == "__main__":
    main()

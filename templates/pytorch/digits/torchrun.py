"""torchrun, also for a PyTorch that was built without libuv, as Debian's is: by itself it insists on that.

Where PyTorch has libuv, `python3 -m torch.distributed.run` does the same.
"""

from __future__ import annotations

from functools import partial

from torch.distributed import TCPStore, run
from torch.distributed.elastic.rendezvous import static_tcp_rendezvous

if __name__ == "__main__":
    static_tcp_rendezvous.TCPStore = partial(TCPStore, use_libuv=False)
    run.main()

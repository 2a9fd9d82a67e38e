"""torchrun, also for a PyTorch that was built without libuv, as Debian's is: its own rendezvous insists on that."""

from __future__ import annotations

from torch.distributed import TCPStore, run
from torch.distributed.elastic.rendezvous import RendezvousInfo, RendezvousParameters
from torch.distributed.elastic.rendezvous.api import rendezvous_handler_registry
from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous

NAME = "hosts"
TIMEOUT = 300  # s; `train` has met the other hosts already


class Rendezvous(StaticTCPRendezvous):
    """The first host keeps what all of them have to know of each other; their numbers are given."""

    def get_backend(self) -> str:
        """Return the name that the command line gives it."""
        return NAME

    def next_rendezvous(self) -> RendezvousInfo:
        """Meet the other hosts."""
        first = self.rank == 0
        self._store = self._store or TCPStore(
            *(self.master_addr, self.master_port, self.world_size, first, self.timeout),
            multi_tenant=True,
            use_libuv=False,
        )
        return super().next_rendezvous()


def create(parameters: RendezvousParameters) -> Rendezvous:
    """Make the rendezvous that the command line describes."""
    name, _, port = parameters.endpoint.rpartition(":")
    rank = parameters.get_as_int("rank")
    return Rendezvous(name, int(port), rank, parameters.max_nodes, parameters.run_id, TIMEOUT)


if __name__ == "__main__":
    rendezvous_handler_registry.register(NAME, create)
    run.main()

"""Several hosts under TensorFlow's MultiWorkerMirroredStrategy."""

from __future__ import annotations

import faulthandler
import json
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import tensorflow as tf
from sagemaker_job import JobError, left_within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hosts import Hosts
    from sagemaker_job import StopRequest

# Of the 120 s that a stop gives (T-40). A lost host is noticed in ten; this is for what TensorFlow does not notice.
_STOP_SECONDS = 90
_NO_ANSWER = (
    f"stopped, but the other hosts did not answer for {_STOP_SECONDS} s: nothing is saved since the last checkpoint"
)

# What a step raises, by the way in which TensorFlow noticed: a closed connection, or no heartbeat for ten seconds.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


@contextmanager
def cooperation(hosts: Hosts, stop: StopRequest) -> Iterator[tf.distribute.Strategy]:
    """Yield the strategy for the steps that the hosts take together; all must be here (`wait_for_hosts`).

    A host that is lost in between is a JobError.
    """
    if hosts.count == 1:
        yield tf.distribute.get_strategy()
        return
    # gRPC would go to the other hosts through a proxy.
    os.environ.update(TF_CONFIG=json.dumps(hosts.tf_config()), no_grpc_proxy=",".join([*hosts.names, hosts.address]))
    with left_within(_STOP_SECONDS, stop, _NO_ANSWER):
        try:
            # All hosts are here, so it takes a second. If one is lost just now, only this ends the others: it needs no
            # Python, of which nothing runs meanwhile.
            faulthandler.dump_traceback_later(_STOP_SECONDS, exit=True)
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
            faulthandler.cancel_dump_traceback_later()
            stop.listen()  # TensorFlow has taken SIGTERM for a notice of its own
            yield strategy
        except _LOST as error:
            lost = re.search(r"/job:worker/replica:0/task:(\d+)", error.message)
            name = hosts.names[int(lost[1])] if lost else "another host"
            raise JobError(f"lost {name}: it ended or does not answer, see its log") from error

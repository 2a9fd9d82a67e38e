"""A small stand-in for TensorFlow Serving's REST server: one model, the same paths, the same JSON.

model_server.py --socket /tmp/model.sock --name cifar10 --base /opt/ml/model/cifar10 --version 1
"""

from __future__ import annotations

import argparse
import gc
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from model_files import ServedModel

if TYPE_CHECKING:
    from batching import Batcher


def load(model: ServedModel) -> Batcher:
    """Load the model and let the runtime make its plans for the usual batch sizes (H-11)."""
    import numpy as np
    from batching import MAX_BATCH, Batcher
    from predict_api import IMAGE_SHAPE
    from runtimes import load_runtime

    started = time.perf_counter()
    runtime = load_runtime(model.folder)
    for size in (1, 2, MAX_BATCH):
        runtime.predict(np.zeros((size, *IMAGE_SHAPE), np.float32))
    seconds = time.perf_counter() - started
    print(f"model {model.name} version {model.version} loaded by {runtime.name} in {seconds:.2f} s", flush=True)
    return Batcher(runtime.predict)


def spare_garbage_collection() -> None:
    """Keep what is loaded by now out of every later collection.

    A request makes about 1,060 lists, so full collections come often; each would walk all of the runtime's
    objects, 0.1 s with TensorFlow. And a request's own lists are gone before the threshold comes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def serve(model: ServedModel, socket: Path) -> None:
    """Load the model, then answer on the Unix socket until SIGTERM; requests in flight are finished (H-07).

    The model loads in a thread while the HTTP libraries are imported: start-up is short because both cores
    are busy. That is why imports stand inside the functions here.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        loading = pool.submit(load, model)
        import uvicorn
        from http_app import build_app

        app = build_app(model, loading.result())
    config = uvicorn.Config(app, uds=str(socket), log_level="warning", access_log=False, lifespan="off")
    spare_garbage_collection()
    uvicorn.Server(config).run()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--base", type=Path, required=True, help="folder of version folders")
    parser.add_argument("--version", type=int, required=True)
    options = parser.parse_args()
    serve(ServedModel(options.name, options.base, options.version), options.socket)


if __name__ == "__main__":
    main()

"""Run by Python in a container at its start, before the user's program: waits for a debugger in the first that may.

It runs with the image's Python, which may be an old one, and knows nothing of byoc.
"""

import os
import signal
import sys


def _wanted() -> bool:
    """Whether this is the user's program: no tool's, no `python -c`, no child of one that is debugged already."""
    if os.environ.get("BYOC_DEBUGGED"):
        return False
    try:
        with open("/proc/self/cmdline", "rb") as file:
            words = file.read().decode("utf-8", "replace").split("\0")[1:-1]
    except OSError:
        words = []
    names = [os.path.basename(word) for word in words]
    if "-c" in words or not [name for name in names if not name.startswith("-")]:
        return False
    return not {"pip", "pip3", "conda", "debugpy", "adapter", "supervisord"} & set(names)


def _debug() -> None:
    port = int(os.environ["BYOC_DEBUG_PORT"])
    os.environ["BYOC_DEBUGGED"] = "1"  # children are the debugger's own business
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.join(here, "debugpy"))
    try:
        import debugpy

        debugpy.listen(("0.0.0.0", port))
    except Exception as error:  # whatever it is: the program runs without it
        sys.stderr.write("byoc: the debugger cannot be started in Python %s: %s\n" % (sys.version.split()[0], error))
        return
    finally:
        sys.path.pop(0)
    # PID 1 heeds no signal that it has no handler for, and the program's own is not there yet.
    before = signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    sys.stderr.write("byoc: waiting for a debugger on port %d\n" % port)
    sys.stderr.flush()
    debugpy.wait_for_client()
    signal.signal(signal.SIGTERM, before)


def _image_s_own() -> None:
    """Run the image's sitecustomize, before which this one was found."""
    here = os.path.dirname(os.path.abspath(__file__))
    others = [path for path in sys.path if os.path.abspath(path or ".") != here]
    try:
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec("sitecustomize", others)
    except ImportError:
        return
    if spec and spec.loader:
        spec.loader.exec_module(sys.modules[__name__])


_image_s_own()
if _wanted():
    _debug()

"""The local endpoint: stands between callers and a container, with the limits of InvokeEndpoint (H-10 to H-24, H-45).

`server.py` answers, `upstream.py` asks the container, `health.py` pings it, `queue.py` has the requests of an
asynchronous endpoint (H-50). It lives in a thread of a foreground byoc (`thread.py`) or in a process of its own
(`process.py`, `detached.py`). aiohttp is imported only where it lives.
"""

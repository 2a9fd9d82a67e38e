"""The local endpoint: stands between callers and containers, with the limits of InvokeEndpoint (H-10 to H-24, H-45).

`server.py` answers, `calls.py` makes an invocation, `chain.py` leads it from container to container, `upstream.py` asks
one, `health.py` pings them; `queue.py` has the requests of an asynchronous endpoint (H-50), `models/` those of many
models. It lives in a thread of a foreground byoc (`thread.py`) or in a process of its own
(`process.py`, `detached.py`). aiohttp is imported only where it lives.
"""

"""Single objects in S3: what an asynchronous endpoint reads and writes (H-50)."""

from __future__ import annotations

from typing import IO, Any

from botocore.exceptions import ClientError

from byoc_cli.cloud import faults, s3
from byoc_cli.contract.channels import bucket_and_key


class Objects:
    """An `ObjectStore`, with the user's own credentials.

    Raises:
        MachineError: there are none.

    """

    def __init__(self) -> None:
        self._client = s3.connect()

    def find(self, uri: str) -> tuple[int, _Body] | None:
        """Open an object; None where there is none."""
        bucket, key = bucket_and_key(uri)
        with faults.translated(f"{uri} cannot be read", _arn(uri)):
            try:
                answer = self._client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                    return None
                raise
        return int(answer["ContentLength"]), _Body(uri, answer["Body"])

    def put(self, uri: str, content: IO[bytes], content_type: str) -> None:
        """Write an object: a PUT is all of it or nothing."""
        bucket, key = bucket_and_key(uri)
        more = {"ContentType": content_type} if content_type else {}
        with faults.translated(f"{uri} cannot be written", _arn(uri)):
            self._client.put_object(Bucket=bucket, Key=key, Body=content, **more)


class _Body:
    """An object's bytes as they come."""

    def __init__(self, uri: str, body: Any) -> None:
        self._uri = uri
        self._body = body

    def read(self, amount: int, /) -> bytes:
        with faults.translated(f"{self._uri} cannot be read", _arn(self._uri)):
            return bytes(self._body.read(amount))

    def close(self) -> None:
        self._body.close()


def _arn(uri: str) -> str:
    return "arn:aws:s3:::" + "/".join(bucket_and_key(uri))

"""Credentials that are looked at before they go into a request."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from byoc_cli.cloud import account, s3
from byoc_cli.errors import MachineError


@pytest.mark.parametrize("use", [account.identity, s3.connect, lambda: account.account("us-west-2")])
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_a_newline_in_a_credential_is_said_and_the_credential_is_not(
    use: Callable[[], object], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"AWS_ACCESS_KEY_ID": "topsecret", "AWS_SECRET_ACCESS_KEY": "topsecret", "AWS_SESSION_TOKEN": "topsecret"}
    for variable, value in (good | {name: "topsecret\n"}).items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(MachineError) as caught:
        use()
    assert caught.value.message == "the AWS credentials have a blank or a newline in them"
    assert "topsecret" not in caught.value.hint

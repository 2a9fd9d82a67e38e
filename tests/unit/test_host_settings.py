"""What a build is offered of this host: CA bundle, pip configuration, proxies."""

from __future__ import annotations

from pathlib import Path

import pytest

from byoc_cli.local.host_settings import ca_bundle, pip_configuration, proxies


@pytest.fixture
def host(tmp_path: Path) -> dict[str, str]:
    """An environment whose configuration is all below tmp_path."""
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_DIRS": f"{tmp_path / 'first'}:{tmp_path / 'second'}",
        "VIRTUAL_ENV": str(tmp_path / "venv"),
    }


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def options(text: str) -> dict[str, str]:
    lines = text.replace("\n\t", " ").splitlines()
    assert lines[:1] == ["[global]"] if lines else True
    return dict(line.split(" = ", 1) for line in lines[1:] if line)


def test_no_configuration_is_an_empty_text(host: dict[str, str]) -> None:
    assert pip_configuration(host) == ""


ORDER = [
    "second/pip/pip.conf",
    "first/pip/pip.conf",
    "home/.pip/pip.conf",
    "home/.config/pip/pip.conf",
    "venv/pip.conf",
]


@pytest.mark.parametrize("last", range(len(ORDER)))
def test_pip_s_own_order(host: dict[str, str], tmp_path: Path, last: int) -> None:
    for name in ORDER[: last + 1]:
        write(tmp_path / name, f"[global]\nindex-url = https://{name.replace('/', '-')}/simple\n")
    assert options(pip_configuration(host))["index-url"] == f"https://{ORDER[last].replace('/', '-')}/simple"


def test_files_are_merged_option_by_option(host: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "home/.config/pip/pip.conf", "[global]\nindex_url = https://a/simple\ntimeout = 60\n")
    write(tmp_path / "venv/pip.conf", "[install]\ntrusted-host = a\n[global]\ntimeout = 5\n[list]\nformat = columns\n")
    found = options(pip_configuration(host))
    assert found == {"index-url": "https://a/simple", "timeout": "5", "trusted-host": "a"}


def test_a_chosen_file_and_then_variables_win(host: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "venv/pip.conf", "[global]\nindex-url = https://a/simple\nretries = 1\nproxy = http://p:1\n")
    write(tmp_path / "chosen", "[global]\nindex-url = https://b/simple\nretries = 2\n")
    host |= {"PIP_CONFIG_FILE": str(tmp_path / "chosen"), "PIP_RETRIES": "3"}
    assert options(pip_configuration(host)) == {
        "index-url": "https://b/simple",
        "retries": "3",
        "proxy": "http://p:1",
    }


def test_paths_of_this_host_are_left_out(host: dict[str, str], tmp_path: Path) -> None:
    write(
        tmp_path / "venv/pip.conf",
        "[global]\nindex-url = file:///opt/simple\nextra-index-url =\n    https://a/simple\n    /opt/wheels\n"
        "    https://b/simple\nfind-links = /opt/wheels\ncert = /etc/ca.pem\ncache-dir = /tmp\n",
    )
    assert options(pip_configuration(host)) == {"extra-index-url": "https://a/simple https://b/simple"}


def test_only_paths_of_this_host_is_nothing(host: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "venv/pip.conf", "[global]\nfind-links = /opt/wheels\nindex-url = /opt/simple\n")
    assert pip_configuration(host) == ""


def test_a_percent_sign_in_a_password_is_a_percent_sign(host: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "venv/pip.conf", "[global]\nindex-url = https://u:p%40ss@a/simple\n")
    assert options(pip_configuration(host))["index-url"] == "https://u:p%40ss@a/simple"


@pytest.mark.parametrize("data", [b"[global\n", b"index-url = x\n", b"\xff\xfe", b"[global]\na = 1\na = 2\n"])
def test_a_broken_file_is_passed_over(host: dict[str, str], tmp_path: Path, data: bytes) -> None:
    write(tmp_path / "home/.config/pip/pip.conf", "[global]\ntimeout = 7\n")
    write(tmp_path / "venv/pip.conf", "")
    (tmp_path / "venv/pip.conf").write_bytes(data)
    assert options(pip_configuration(host)) == {"timeout": "7"}


def test_what_comes_out_is_what_pip_can_read(host: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "venv/pip.conf", "[global]\nextra-index-url = https://a/simple https://b/simple\n")
    assert pip_configuration(host).rstrip() == "[global]\nextra-index-url = https://a/simple\n\thttps://b/simple"


@pytest.mark.parametrize("variable", ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"])
def test_the_ca_bundle_that_a_variable_names(tmp_path: Path, variable: str) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert ca_bundle({variable: str(bundle)}) == bundle


def test_a_variable_that_names_no_file_is_passed_over(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert ca_bundle({"PIP_CERT": str(tmp_path / "none"), "SSL_CERT_FILE": str(bundle)}) == bundle
    assert ca_bundle({"PIP_CERT": str(tmp_path)}) != tmp_path


def test_proxies_in_both_spellings() -> None:
    environ = {"HTTPS_PROXY": "http://p:1", "no_proxy": "a,b", "http_proxy": "", "FTP_PROXY": "ftp://p", "OTHER": "x"}
    assert proxies(environ) == {"HTTPS_PROXY": "http://p:1", "no_proxy": "a,b", "FTP_PROXY": "ftp://p"}

"""Image names: the grammar of github.com/distribution/reference, ECR hosts, names made of folders."""

from __future__ import annotations

import itertools

import pytest

from byoc_cli.errors import UsageError
from byoc_cli.image_ref import ImageRef, parse, slug, tag_problem

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model", ImageRef("", "model")),
        ("model:v1", ImageRef("", "model", "v1")),
        ("library/model:1.0_a-B", ImageRef("", "library/model", "1.0_a-B")),
        ("a.b/c", ImageRef("a.b", "c")),
        ("localhost/model", ImageRef("localhost", "model")),
        ("localhost:5000/a/b/c:t", ImageRef("localhost:5000", "a/b/c", "t")),
        ("host:5000/model", ImageRef("host:5000", "model")),
        ("Registry.Example.COM/model", ImageRef("Registry.Example.COM", "model")),
        ("[::1]:5000/model", ImageRef("[::1]:5000", "model")),
        (f"model@{DIGEST}", ImageRef("", "model", "", DIGEST)),
        (f"a.b/model:v1@{DIGEST}", ImageRef("a.b", "model", "v1", DIGEST)),
        ("a__b/c--d.e_f", ImageRef("", "a__b/c--d.e_f")),
    ],
)
def test_a_reference_is_parsed_and_composed_again(text: str, expected: ImageRef) -> None:
    assert parse(text) == expected
    assert str(parse(text)) == text


@pytest.mark.parametrize("tag", ["v1", "_", "V1.2_x-y", "x" * 128])
def test_a_tag_that_is_one(tag: str) -> None:
    assert tag_problem(tag) == ""
    assert parse(f"model:{tag}").tag == tag


@pytest.mark.parametrize("tag", ["", ".x", "-x", "a b", "a/b", "x:y", "ü", "x" * 129, "x\n"])
def test_a_tag_that_is_none(tag: str) -> None:
    assert tag_problem(tag).startswith("a tag is 1 to 128 letters")


def test_whatever_parses_composes_to_the_same_text() -> None:
    hosts = ["", "a.b/", "localhost:1/", "x-y.z:5000/"]
    paths = ["m", "a/b", "a-b_c/d.e2"]
    for parts in itertools.product(hosts, paths, ["", ":latest", ":V_1.0-x"], ["", "@" + DIGEST]):
        text = "".join(parts)
        assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("Model", "lower case"),
        ("Team/model", "lower case"),
        ("example.com/Team/model", "lower case"),
        ("-model", "starts with a letter or a digit"),
        ("a model", "letters, digits"),
        ("model:", "letters, digits"),
        ("model:-v1", "letters, digits"),
        ("model:" + "v" * 129, "letters, digits"),
        ("model/", "letters, digits"),
        ("/model", "letters, digits"),
        ("a..b", "letters, digits"),
        ("a___b", "letters, digits"),
        ("model@sha256:abc", "letters, digits"),
        ("https://example.com/model", "there is no '://'"),
        ("model\n", "letters, digits"),
        ("model:v1\n", "letters, digits"),
        ("über", "letters, digits"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_likeliest_reason(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    first, _, reason = caught.value.message.partition(" is not an image name\n")
    assert first == f"'{text}'"
    assert why in reason
    assert caught.value.hint == "for example: my-model:v1"


@pytest.mark.parametrize(
    ("given", "tagged"),
    [("m", "m:latest"), ("m:v1", "m:v1"), (f"m@{DIGEST}", f"m@{DIGEST}"), ("a.b:1/m", "a.b:1/m:latest")],
)
def test_a_reference_without_tag_is_the_latest(given: str, tagged: str) -> None:
    assert str(parse(given).tagged) == tagged


def test_the_short_name_is_the_last_part() -> None:
    assert parse("a.b:5000/team/model:v1").short == "model"


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com", "us-east-1"),
        ("763104351884.dkr.ecr.ap-southeast-3.amazonaws.com", "ap-southeast-3"),
        ("763104351884.dkr.ecr.mx-central-1.amazonaws.com", "mx-central-1"),
        ("763104351884.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("763104351884.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("763104351884.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        ("763104351884.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
        ("763104351884.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
        ("763104351884.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
        ("763104351884.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("763104351884.dkr-ecr.us-west-2.on.aws", "us-west-2"),
        ("763104351884.dkr-ecr-fips.us-west-2.on.aws", "us-west-2"),
        ("763104351884.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn", "cn-northwest-1"),
    ],
)
def test_ecr_is_known_in_every_partition(host: str, region: str) -> None:
    assert parse(f"{host}/team/model:v1").ecr == ("763104351884", region)


@pytest.mark.parametrize(
    "text",
    [
        "model",
        "public.ecr.aws/docker/library/python:3.11",
        "763104351884.dkr.ecr.us-east-1.example.com/model",
        "76310435188.dkr.ecr.us-east-1.amazonaws.com/model",
        "evil.com/763104351884.dkr.ecr.us-east-1.amazonaws.com",
    ],
)
def test_what_is_not_a_private_ecr_is_not_taken_for_one(text: str) -> None:
    assert parse(text).ecr is None


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("My Model", "my-model"),
        ("my_model", "my_model"),
        ("a__b", "a-b"),
        ("a.-_b", "a-b"),
        ("--x--", "x"),
        ("Ünïcode", "n-code"),
        ("...", "image"),
        ("", "image"),
        ("日本", "image"),
        ("v1.0 (copy)", "v1.0-copy"),
    ],
)
def test_any_folder_s_name_becomes_an_image_s(folder: str, name: str) -> None:
    assert slug(folder) == name
    assert parse(name).path == name


def test_a_slug_is_always_a_valid_name() -> None:
    for letters in itertools.product("aZ.-_ é", repeat=5):
        text = "".join(letters)
        assert parse(slug(text)).tag == "", text

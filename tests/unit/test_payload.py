"""A file becomes a request, a response something to show."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from byoc_cli import payload
from byoc_cli.errors import ByocError, UsageError
from byoc_cli.project import PictureSettings, PredictSettings

TENSOR = PredictSettings(image=PictureSettings((4, 2), "RGB"))
PLAIN = PredictSettings()


def picture(
    mode: str = "RGB", size: tuple[int, int] = (4, 2), color: object = (255, 0, 0), kind: str = "PNG", **more: object
) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, kind, **more)  # type: ignore[arg-type]
    return buffer.getvalue()


def tensor(data: bytes, settings: PictureSettings) -> list[list[list[int]]]:
    body = json.loads(payload.picture_body(data, settings, "x.png"))
    assert list(body) == ["instances"]
    (rows,) = body["instances"]
    return list(rows)


# -- content types -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.csv", "text/csv"),
        ("a.CSV", "text/csv"),
        ("a.json", "application/json"),
        ("a.jsonl", "application/jsonlines"),
        ("a.ndjson", "application/jsonlines"),
        ("a.npy", "application/x-npy"),
        ("a.npz", "application/x-npz"),
        ("a.txt", "text/plain"),
        ("a.tsv", "text/tab-separated-values"),
        ("a.parquet", "application/x-parquet"),
        ("a.wav", "audio/wav"),
        ("a.mp3", "audio/mpeg"),
        ("a.flac", "audio/flac"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.jpeg", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.gif", "image/gif"),
        ("a.tiff", "image/tiff"),
        ("a.mp4", "video/mp4"),
        ("a.pdf", "application/pdf"),
        ("a.html", "text/html"),
        ("a.libsvm", "text/libsvm"),
        ("a.recordio", "application/x-recordio-protobuf"),
        ("a.pb", "application/x-protobuf"),
        ("a.avro", "application/avro"),
        ("a.yml", "application/yaml"),
        ("a.unknown", "application/octet-stream"),
        ("noextension", "application/octet-stream"),
    ],
)
def test_each_suffix_has_its_content_type(tmp_path: Path, name: str, content_type: str) -> None:
    (tmp_path / name).write_bytes(b"1,2")
    loaded = payload.load(str(tmp_path / name), PLAIN)
    assert (loaded.content_type, loaded.body, loaded.source) == (content_type, b"1,2", str(tmp_path / name))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"a": 1}', "application/json"),
        (b"[1]", "application/json"),
        (b"{oops", "application/octet-stream"),
        (b"1,2", "application/octet-stream"),
        (b"", "application/octet-stream"),
        (b"[" * 100_000, "application/octet-stream"),
    ],
)
def test_standard_input_is_json_if_it_is_json(body: bytes, content_type: str) -> None:
    assert payload.load("-", PLAIN, stdin=body).content_type == content_type


def test_the_option_wins_over_the_project_over_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1")
    source = str(tmp_path / "a.csv")
    settings = PredictSettings(content_type="a/b")
    assert payload.load(source, settings).content_type == "a/b"
    assert payload.load(source, settings, content_type="c/d").content_type == "c/d"


@pytest.mark.parametrize(("name", "message"), [("none.csv", "there is no file"), ("folder", "is a folder, not a file")])
def test_what_is_no_file(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=message):
        payload.load(str(tmp_path / name), PLAIN)


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_a_picture_becomes_a_tensor_of_height_width_channels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    loaded = payload.load(str(tmp_path / "a.png"), TENSOR)
    assert loaded.content_type == "application/json"
    assert loaded.body == b'{"instances":[[' + b",".join([b"[" + b",".join([b"[255,0,0]"] * 4) + b"]"] * 2) + b"]]}"


@pytest.mark.parametrize("settings", [PLAIN, TENSOR])
def test_a_picture_goes_as_it_is_where_it_is_asked_for(tmp_path: Path, settings: PredictSettings) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    loaded = payload.load(str(tmp_path / "a.png"), settings, content_type="image/png")
    assert (loaded.body, loaded.content_type) == (picture(), "image/png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_picture_from_standard_input_is_known_by_its_first_bytes(kind: str) -> None:
    loaded = payload.load("-", TENSOR, stdin=picture(kind=kind))
    assert loaded.content_type == "application/json"


def test_it_is_scaled_not_cropped() -> None:
    two = Image.new("RGB", (80, 40), (255, 0, 0))
    two.paste((0, 0, 255), (40, 0, 80, 40))
    buffer = io.BytesIO()
    two.save(buffer, "PNG")
    rows = tensor(buffer.getvalue(), PictureSettings((4, 2)))
    assert (len(rows), len(rows[0]), len(rows[0][0])) == (2, 4, 3)
    assert rows[0][0][0] > 240
    assert rows[0][3][2] > 240
    assert rows[0][0][2] < 15


def test_without_a_size_it_stays_as_large_as_it_is() -> None:
    rows = tensor(picture(size=(3, 5)), PictureSettings(None))
    assert (len(rows), len(rows[0])) == (5, 3)


def test_grey_has_one_channel() -> None:
    assert tensor(picture("L", color=7), PictureSettings((1, 1), "L")) == [[[7]]]
    assert tensor(picture(color=(255, 255, 255)), PictureSettings((1, 1), "L")) == [[[255]]]


@pytest.mark.parametrize(("mode", "color"), [("L", 9), ("1", 1), ("CMYK", (0, 0, 0, 0)), ("I;16", 65535)])
def test_other_modes_become_rgb(mode: str, color: object) -> None:
    kind = "TIFF"
    (pixel,) = tensor(picture(mode, (1, 1), color, kind), PictureSettings((1, 1), "RGB"))[0]
    assert pixel == ([9, 9, 9] if mode == "L" else [255, 255, 255])


@pytest.mark.parametrize(("alpha", "pixel"), [(0, [255, 255, 255]), (255, [10, 20, 30])])
def test_transparency_is_laid_on_white(alpha: int, pixel: list[int]) -> None:
    assert tensor(picture("RGBA", (1, 1), (10, 20, 30, alpha)), PictureSettings((1, 1))) == [[pixel]]


def test_a_palette_s_transparency_too() -> None:
    data = picture("P", (1, 1), 0, "PNG", transparency=0)
    assert tensor(data, PictureSettings((1, 1))) == [[[255, 255, 255]]]


def test_it_is_turned_upright() -> None:
    left_red = Image.new("RGB", (2, 1), (0, 0, 255))
    left_red.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    buffer = io.BytesIO()
    left_red.save(buffer, "PNG", exif=exif)
    assert tensor(buffer.getvalue(), PictureSettings(None)) == [[[255, 0, 0]], [[0, 0, 255]]]


@pytest.mark.parametrize("data", [b"", b"no picture", picture()[:40], picture(size=(300, 300), kind="JPEG")[:400]])
def test_what_is_no_picture(data: bytes) -> None:
    with pytest.raises(ByocError, match=r"'x\.png' is not a picture that can be read"):
        payload.picture_body(data, PictureSettings((2, 2)), "x.png")


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_what_is_no_picture_is_said_without_python_s_own_words(data: bytes) -> None:
    with pytest.raises(ByocError) as caught:
        payload.picture_body(data, PictureSettings((2, 2)), "x.png")
    assert caught.value.message == "'x.png' is not a picture that can be read\nits format is not known"
    assert "--content-type" in caught.value.hint


def deep(values: list[float], mode: str, kind: str) -> bytes:
    """A picture of one row with values of more than 8 bits."""
    made = Image.new(mode, (len(values), 1))
    made.putdata([value if mode == "F" else int(value) for value in values])
    buffer = io.BytesIO()
    made.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight_and_not_cut_off(kind: str) -> None:
    data = deep([0, 257, 32_896, 65_535], "I;16", kind)
    assert tensor(data, PictureSettings(None, "L")) == [[[0], [1], [128], [255]]]
    assert tensor(data, PictureSettings(None, "RGB"))[0][2] == [128, 128, 128]


@pytest.mark.parametrize(
    ("values", "mode", "seen"),
    [
        ([0, 70_000], "I", "from 0 to 70000"),
        ([-1, 5], "I", "from -1 to 5"),
        ([0, 0.5, 1], "F", "from 0 to 1"),
    ],
)
def test_values_without_a_white_are_not_guessed(values: list[float], mode: str, seen: str) -> None:
    with pytest.raises(ByocError, match=f"has values {seen}, not 0 to 255"):
        payload.picture_body(deep(values, mode, "TIFF"), PictureSettings(), "x.tiff")


def test_values_of_eight_bits_are_good_in_any_mode() -> None:
    assert tensor(deep([0, 200], "I", "TIFF"), PictureSettings(None, "L")) == [[[0], [200]]]
    assert tensor(deep([0, 200], "F", "TIFF"), PictureSettings(None, "L")) == [[[0], [200]]]


def test_a_large_picture_is_the_user_s_own_and_no_warning() -> None:
    data = picture("1", (9500, 9500), 0)  # what Pillow warns of; pytest makes errors of warnings
    assert tensor(data, PictureSettings((1, 1))) == [[[0, 0, 0]]]


def test_a_file_without_a_suffix_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(picture())
    assert payload.load(str(tmp_path / "upload"), TENSOR).content_type == "application/json"
    assert payload.load(str(tmp_path / "upload"), PLAIN).content_type == "application/octet-stream"


# -- responses ---------------------------------------------------------------------------------------------------------

CLASSES = ["cat", "dog", "bird"]


@pytest.mark.parametrize(
    "content",
    [
        {"predictions": [{"probabilities": [0.1, 0.7, 0.2], "classes": 1}]},
        {"predictions": [[0.1, 0.7, 0.2]]},
        {"predictions": [{"scores": [0.1, 0.7, 0.2]}]},
        {"outputs": [[0.1, 0.7, 0.2]]},
        [[0.1, 0.7, 0.2]],
        [0.1, 0.7, 0.2],
        {"probabilities": [0.1, 0.7, 0.2]},
    ],
)
def test_probabilities_are_found_and_sorted(content: object) -> None:
    assert payload.classes(json.dumps(content).encode(), CLASSES) == [("dog", 0.7), ("bird", 0.2), ("cat", 0.1)]


@pytest.mark.parametrize("names", [[], ["cat"], ["a", "b", "c", "d"]])
def test_names_of_another_number_are_not_believed(names: list[str]) -> None:
    assert payload.classes(b"[0, 1, 0]", names) == [("1", 1.0), ("0", 0.0), ("2", 0.0)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"{}",
        b"[]",
        b"null",
        b"3",
        b"[1]",
        b"[0.5, 0.9]",
        b"[1.5, -0.5]",
        b"[true, false]",
        b'["a", "b"]',
        b"[[0.5, 0.5], [0.5, 0.5]]",
        b'{"predictions": [[0.5, 0.5], [0.5, 0.5]]}',
        b'{"predictions": []}',
        b"[NaN, 1]",
        b'{"other": [0.5, 0.5]}',
    ],
)
def test_what_is_no_vector_of_probabilities(body: bytes) -> None:
    assert payload.classes(body, CLASSES) is None


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b'{"a":"\xc3\xbc"}', "application/json", '{\n  "a": "ü"\n}'),
        (b'{"a":1}', "text/plain", '{\n  "a": 1\n}'),
        (b"1,2\n3,4\n", "text/csv", "1,2\n3,4\n"),
        (b"{broken", "application/json", "{broken"),
        (b"3", "application/json", "3"),
        (b"null", "application/json", "null"),
        (b"", "text/plain", ""),
        (b"\xff\xfe", "application/octet-stream", None),
        (b"a\x00b", "application/octet-stream", None),
    ],
)
def test_pretty(body: bytes, content_type: str, text: str | None) -> None:
    assert payload.pretty(body, content_type) == text


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'{"a": 1}', '{"a": 1}'),
        (b'{\n "a": "\xc3\xbc"\n}\n', '{"a":"ü"}'),
        (b"1,2\n3,4\n", '"1,2\\n3,4\\n"'),
        (b"null", "null"),
        (b"null\n", "null"),
        (b"\xff", '"\ufffd"'),
        (b"", '""'),
    ],
)
def test_one_line_is_one_line_of_json(body: bytes, line: str) -> None:
    assert payload.one_line(body).encode() == (json.dumps("\ufffd").encode() if body == b"\xff" else line.encode())
    assert "\n" not in payload.one_line(body)
    json.loads(payload.one_line(body))

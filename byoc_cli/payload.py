"""A file on disk -> (body, content type); a response -> something to show."""

from __future__ import annotations

import io
import json
import mimetypes
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc_cli.errors import ByocError, UsageError
from byoc_cli.project import PictureSettings, PredictSettings, Project
from byoc_cli.project.home import expanded

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".avif"})
# The field's own names, where the system's table has none or another one.
CONTENT_TYPES: Mapping[str, str] = {
    ".avro": "application/avro",
    ".csv": "text/csv",
    ".flac": "audio/flac",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".libsvm": "text/libsvm",
    ".mp3": "audio/mpeg",
    ".ndjson": "application/jsonlines",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".parquet": "application/x-parquet",
    ".pb": "application/x-protobuf",
    ".recordio": "application/x-recordio-protobuf",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".wav": "audio/wav",
    ".webp": "image/webp",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


@dataclass(frozen=True)
class Payload:
    """What is posted, and what it came from."""

    body: bytes
    content_type: str
    source: str


def load(source: str, settings: PredictSettings, *, stdin: bytes = b"", content_type: str = "") -> Payload:
    """Read a file ("-" is `stdin`) and make the request body of it.

    A picture becomes a tensor where the project says how and no content type was asked for; all else goes as it is.

    Raises:
        UsageError: there is no such file.
        ByocError: the picture cannot be read.

    """
    body = stdin if source == "-" else _read(Path(source))
    suffix = Path(source).suffix.lower()
    if not suffix and settings.image and not content_type and _is_picture(body):
        suffix = ".png"
    if suffix in PICTURES and settings.image and not content_type:
        return Payload(picture_body(body, settings.image, source), "application/json", source)
    return Payload(body, content_type or settings.content_type or guess(suffix, body), source)


def sample(project: Project) -> str:
    """Return the file that the project names as a real request ([predict] sample), "" where it names none.

    Raises:
        UsageError: it names one that is not there.

    """
    if not project.predict.sample:
        return ""
    file = project.root / expanded(project.predict.sample)
    if not file.is_file():
        raise UsageError(
            f"[predict] sample in {project.file}: there is no file '{file}'", hint="name one that is a request"
        )
    return os.path.relpath(file)


def content_type_unread(source: str, settings: PredictSettings, *, content_type: str = "") -> str:
    """Return the content type of a file that goes as it is, by its name; "" where only a look into it tells."""
    suffix = Path(source).suffix.lower()
    if settings.image and not content_type and (suffix in PICTURES or not suffix):
        return ""
    return content_type or settings.content_type or CONTENT_TYPES.get(suffix) or mimetypes.types_map.get(suffix, "")


def check_file(path: Path) -> Path:
    """See that a file is there and can be read.

    Raises:
        UsageError: it is not.

    """
    with _readable(path):
        path.open("rb").close()
    return path


def _read(path: Path) -> bytes:
    with _readable(path):
        return path.read_bytes()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder, not a file", hint=f"byoc predict {path}/*")
    try:
        yield
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no file '{path}'\nlooked in {path.absolute().parent}", hint="byoc predict FILE"
        ) from error
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read\n{error.strerror}") from error


def guess(suffix: str, body: bytes) -> str:
    """Return the content type for a suffix; without a known one, JSON if it is JSON, else bytes."""
    known = CONTENT_TYPES.get(suffix) or mimetypes.types_map.get(suffix)
    if known:
        return known
    return "application/json" if body[:1] in b"{[" and body and _json(body) is not None else "application/octet-stream"


def _is_picture(body: bytes) -> bool:
    starts = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
    return body.startswith(starts) or body[8:12] == b"WEBP"


def picture_body(data: bytes, settings: PictureSettings, source: str) -> bytes:
    """Make `{"instances": [height x width x channels]}` with values 0 to 255 (TensorFlow Serving's row format).

    The picture is turned upright (EXIF), transparency is laid on white, and it is scaled to the size, not cropped.
    Values of 16 bits are scaled to 0 to 255.

    Raises:
        ByocError: it cannot be read, or its values are not 0 to 255 and nothing says what white is.

    """
    # Pillow is imported late: only pictures need it.
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        # A large picture is no attack here: it is the user's own.
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as opened:
            picture = _eight_bits(ImageOps.exif_transpose(opened), source)
            if picture.has_transparency_data:
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
            picture = picture.convert(settings.color)
            if settings.size:
                picture = picture.resize(settings.size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        # Pillow's own word for the first would name an object of Python's.
        why = "its format is not known" if isinstance(error, UnidentifiedImageError) else error
        raise ByocError(
            f"'{source}' is not a picture that can be read\n{why}",
            hint="send another picture, or the file as it is: --content-type TYPE",
        ) from error
    width, height = picture.size
    raw, depth = picture.tobytes(), len(picture.getbands())
    rows = [
        [list(raw[at : at + depth]) for at in range(row * width * depth, (row + 1) * width * depth, depth)]
        for row in range(height)
    ]
    return json.dumps({"instances": [rows]}, separators=(",", ":")).encode()


def _eight_bits(picture: Image, source: str) -> Image:
    """Bring grey values of more than 8 bits to 0 to 255; Pillow itself would cut off what is above."""
    if picture.mode.startswith("I;16"):
        return picture.convert("I").point(lambda value: value / 257).convert("L")
    if picture.mode in {"I", "F"}:
        low, high = picture.getextrema()
        if low < 0 or high > 255 or (picture.mode == "F" and high <= 1):  # type: ignore[operator]
            raise ByocError(
                f"'{source}' has values from {low:g} to {high:g}, not 0 to 255\nnothing says which of them is white",
                hint="save it with 8 bits, or send it as it is: --content-type TYPE",
            )
    return picture


def classes(body: bytes, names: Sequence[str]) -> list[tuple[str, float]] | None:
    """Find class probabilities in a response: (name, probability), the likeliest first; None where there are none.

    Understood: TensorFlow Serving's `predictions`, a row of numbers or an object with one (`probabilities`,
    `scores`, …). Without names of the right number, classes are numbered.
    """
    row = _row(_json(body))
    if row is None:
        return None
    labels = names if len(names) == len(row) else [str(index) for index in range(len(row))]
    return sorted(zip(labels, row, strict=True), key=lambda pair: -pair[1])


def _row(content: Any) -> list[float] | None:
    if isinstance(content, dict):
        for key in ("predictions", "outputs", "probabilities", "scores", "predicted_probabilities"):
            if key in content:
                return _row(content[key])
        return None
    if not isinstance(content, list) or not content:
        return None
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in content):
        # A vector of probabilities, not of anything.
        fits = (
            len(content) > 1 and all(-1e-6 <= value <= 1 + 1e-6 for value in content) and abs(sum(content) - 1) < 0.01
        )
        return [float(value) for value in content] if fits else None
    return _row(content[0]) if len(content) == 1 else None


def pretty(body: bytes, content_type: str) -> str | None:
    """Text for people: JSON indented, other text as it is; None for what is not text."""
    content = _json(body) if body[:1] in b'{["' or "json" in content_type else None
    if content is not None:
        return json.dumps(content, indent=2, ensure_ascii=False)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if "\x00" not in text else None


def one_line(body: bytes) -> str:
    """Return the body on one line: JSON compacted, else the text as a JSON string."""
    content = _json(body)
    if content is None and body.strip() != b"null":
        return json.dumps(body.decode(errors="replace"))
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False) if b"\n" in body else body.decode()


def parse_json(body: bytes) -> Any:
    """Parse JSON as web servers send it (Python's NaN and Infinity too).

    Raises:
        ValueError: it is none; says where.

    """
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _json(body: bytes) -> Any:
    try:
        return parse_json(body)
    except ValueError:
        return None

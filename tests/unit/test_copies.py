"""Which file of the context goes where: COPY and ADD as BuildKit reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from byoc_cli.engine import context, copies, dockerfile
from byoc_cli.engine.placement import Placement

FILES = (
    "train",
    "serve",
    "requirements.txt",
    "my file",
    "config.json",
    "src/a.py",
    "src/b.txt",
    "src/sub/c.py",
    "other/a.py",
    "data.tar.gz",
)


def make(root: Path, files: Iterable[str] = FILES) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def read(
    root: Path,
    text: str,
    *,
    target: str = "",
    args: Mapping[str, str] | None = None,
    folders: Iterable[str] = (),
    folder: str = "/",
    environment: Mapping[str, str] | None = None,
) -> Placement:
    tree = context.Tree(root, root / "Dockerfile")
    return copies.placement(
        dockerfile.parse(text, args),
        target,
        tree,
        args=args,
        folder=folder,
        environment=environment,
        is_folder=lambda path: path in folders,
    )


def places(placement: Placement) -> dict[str, str]:
    return {place: placed.source for place, placed in placement.files.items()}


BIN = {"/usr/local/bin/train": "train", "/usr/local/bin/serve": "serve"}
SRC = {"/app/a.py": "src/a.py", "/app/b.txt": "src/b.txt", "/app/sub/c.py": "src/sub/c.py"}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("COPY train serve /usr/local/bin/", BIN),
        ("COPY ./train /serve /usr/local/bin/", BIN),
        ('COPY ["train", "serve", "/usr/local/bin/"]', BIN),
        ("COPY train \\\n  # why\n  serve \\\n  /usr/local/bin", BIN),
        ("copy train /usr/local/bin/\nADD serve /usr/local/bin/serve", BIN),
        ('COPY "my file" /x/', {"/x/my file": "my file"}),
        ('COPY ["my file", "/x/y z"]', {"/x/y z": "my file"}),
        ("COPY src /app", SRC),
        ("COPY src/ /app/", SRC),
        ("COPY src/. /app", SRC),
        ("WORKDIR /app\nCOPY src .", SRC),
        ("WORKDIR /\nWORKDIR app\nCOPY src ./", SRC),
        ("WORKDIR /app/deep\nCOPY src ..", SRC),
        ("WORKDIR /app\nCOPY src sub/../", SRC),
        ("COPY src/*.py /app/", {"/app/a.py": "src/a.py"}),
        ("COPY */a.py /app/", {"/app/a.py": "src/a.py"}),  # the last one wins
        ("COPY s?rve train /x/", {"/x/serve": "serve", "/x/train": "train"}),
        ("COPY [st]* /app/", {**SRC, "/app/serve": "serve", "/app/train": "train"}),
        ("COPY train /opt/program", {"/opt/program": "train"}),
        ("COPY train /bin", {"/bin/train": "train"}),
        ("WORKDIR /made\nCOPY train /made", {"/made/train": "train"}),
        ("COPY src /app\nCOPY train /app", {**SRC, "/app/train": "train"}),
        ("COPY src /app\nCOPY other/a.py /app/a.py", {**SRC, "/app/a.py": "other/a.py"}),
        ("COPY src /app\nCOPY other /app", {**SRC, "/app/a.py": "other/a.py"}),
        ("COPY --chown=1000:1000 --chmod=755 train /x", {"/x": "train"}),
        ("COPY --link train /x/", {"/x/train": "train"}),
        ("COPY --exclude=*.txt --exclude=sub src /app", {"/app/a.py": "src/a.py"}),
        ("COPY --exclude=**/*.py src /app", {"/app/b.txt": "src/b.txt"}),
        ("COPY --parents src/sub/c.py train /x/", {"/x/src/sub/c.py": "src/sub/c.py", "/x/train": "train"}),
        ("ARG NAME=train\nCOPY $NAME /x/", {"/x/train": "train"}),
        ("ARG HOME_=/app\nENV CODE=${HOME_}/code\nWORKDIR $CODE\nCOPY train .", {"/app/code/train": "train"}),
        ("ENV A=/one B=/two\nCOPY train ${B}/", {"/two/train": "train"}),
        ("ENV A /one two\nCOPY train ${A:-x}/", {"/one two/train": "train"}),
        ("COPY train ${NOTHING:-/opt}/", {"/opt/train": "train"}),
        ("ARG GLOBAL\nCOPY train /$GLOBAL/", {"/value/train": "train"}),
        ("COPY train /$GLOBAL/x", {"/x": "train"}),  # not declared in the stage
        ("ADD data.tar.gz /data/", {}),
        ("ADD https://example.com/x /x", {}),
        ("COPY missing /x", {}),
        ("COPY ../train /x", {"/x": "train"}),  # nothing lies above the context
        ("COPY <<EOF /x\ntrain\nEOF", {}),
        ("COPY --from=busybox /bin/sh /bin/sh", {}),
        ("RUN mkdir -p /a /b/c && ls /d\nCOPY train /b\nCOPY serve /d", {"/b/train": "train", "/d": "serve"}),
        # What comes later is not ours.
        ("COPY train /x\nCOPY <<EOF /x\ntrain\nEOF", {}),
        ("COPY train serve /x/\nCOPY --from=busybox /bin/train /x/", {"/x/serve": "serve"}),
        ("COPY train /x\nADD https://example.com/train /x", {}),
    ],
)
def test_where_files_go(tmp_path: Path, lines: str, expected: dict[str, str]) -> None:
    text = f"ARG GLOBAL=value\nFROM base\n{lines}\n"
    assert places(read(make(tmp_path), text, folders=["/bin", "/usr/local/bin"])) == expected


def test_the_whole_context_without_what_is_ignored(tmp_path: Path) -> None:
    make(tmp_path, ["train", "Dockerfile", "data/large", "data/sample.csv", "deep/x.log", ".byoc/runs/x"])
    (tmp_path / ".dockerignore").write_text("data\n!data/sample.csv\n**/*.log\n")
    found = places(read(tmp_path, "FROM base\nWORKDIR /app\nCOPY . .\n"))
    assert found == {f"/app/{name}": name for name in (".dockerignore", "Dockerfile", "data/sample.csv", "train")}


def test_an_ignore_file_that_ignores_itself(tmp_path: Path) -> None:
    make(tmp_path, ["train", "Dockerfile"])
    (tmp_path / ".dockerignore").write_text("*\n!train\n")
    assert places(read(tmp_path, "FROM base\nCOPY . /\n")) == {"/train": "train"}


def test_a_file_that_is_ignored_is_not_there(tmp_path: Path) -> None:
    make(tmp_path, ["train", "secret"])
    (tmp_path / ".dockerignore").write_text("secret\n")
    assert places(read(tmp_path, "FROM base\nCOPY train secret /x/\n")) == {"/x/train": "train"}


def test_only_what_copy_names_is_walked_through(tmp_path: Path) -> None:
    make(tmp_path, ["train", "src/a.py", "data/1"])
    walked: list[str] = []

    class Noted(context.Tree):
        def entries(self, folder: str) -> list[str]:
            walked.append(folder)
            return super().entries(folder)

    tree = Noted(tmp_path, tmp_path / "Dockerfile")
    copies.placement(dockerfile.parse("FROM base\nCOPY train src /x/\n"), "", tree)
    assert walked == ["src"]


def test_names_that_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, ["src/a.py", "src/a.py~", "src/__pycache__/a.pyc"])
    tree = context.Tree(tmp_path, tmp_path / "Dockerfile", lambda name: name.endswith("~") or name == "__pycache__")
    found = copies.placement(dockerfile.parse("FROM base\nCOPY src /x/\nCOPY src/a.py~ /y/\n"), "", tree)
    assert places(found) == {"/x/a.py": "src/a.py"}


def test_modes_and_links(tmp_path: Path) -> None:
    make(tmp_path, ["train", "src/real"])
    (tmp_path / "src" / "link").symlink_to("real")
    (tmp_path / "named").symlink_to("train")
    found = read(
        tmp_path, "FROM base\nCOPY --chmod=0755 train /a\nCOPY --chmod=u+x train /b\nCOPY src named /c/\n"
    ).files
    assert (found["/a"].mode, found["/b"].mode, found["/c/real"].mode) == (0o755, None, None)
    assert (found["/c/link"].direct, found["/c/named"].direct) == (False, True)


def test_a_link_to_a_folder_that_copy_names_is_the_folder(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "link").symlink_to("src")
    (tmp_path / "away").symlink_to("/")
    text = "FROM base\nCOPY link /app\nCOPY lin* /w/\nCOPY link/sub /s\nCOPY away /a\nCOPY . /all\n"
    found = places(read(tmp_path, text))
    assert SRC.items() <= found.items()
    assert (found["/w/a.py"], found["/s/c.py"]) == ("src/a.py", "src/sub/c.py")
    assert (found["/all/link"], found["/a"]) == ("link", "away")


def test_patterns_are_go_s(tmp_path: Path) -> None:
    assert places(read(make(tmp_path), "FROM base\nCOPY [^a-ru-z]e*e /x/\n")) == {"/x/serve": "serve"}


@pytest.mark.parametrize(
    ("text", "owned"),
    [
        ("COPY --chown=app train /x", True),
        ("COPY train /x\nRUN useradd app && chown app /x", True),
        ("COPY train /x", False),
    ],
)
def test_owners(tmp_path: Path, text: str, owned: bool) -> None:
    assert read(make(tmp_path), f"FROM base\n{text}\n").owned is owned


# -- stages ------------------------------------------------------------------------------------------------------------

STAGES = """
FROM debian AS base
ENV CODE=/code
WORKDIR $CODE
COPY src .

FROM base AS builder
COPY requirements.txt /tmp/
RUN pip install -r /tmp/requirements.txt --prefix=/install

FROM base AS runtime
COPY --from=builder /install /usr/local
COPY train serve /usr/local/bin/
COPY config.json .

FROM runtime AS test
COPY other /tests
"""


def test_the_stages_that_the_target_starts_from(tmp_path: Path) -> None:
    root = make(tmp_path)
    code = {place.replace("/app", "/code"): source for place, source in SRC.items()}
    runtime = {**code, **BIN, "/code/config.json": "config.json"}
    assert places(read(root, STAGES, target="runtime")) == runtime
    assert places(read(root, STAGES)) == {**runtime, "/tests/a.py": "other/a.py"}
    assert places(read(root, STAGES, target="base")) == code


def test_what_a_stage_made_of_its_files_needs_a_build(tmp_path: Path) -> None:
    used = read(make(tmp_path), STAGES, target="runtime").used
    assert used["requirements.txt"].step == "`RUN pip install -r /tmp/requirements.txt --prefix=/install`"
    assert used["requirements.txt"].input_only


@pytest.mark.parametrize(
    ("stage", "line", "expected"),
    [
        ("COPY src /src", "COPY --from=files /src /app", SRC),
        ("COPY src /", "COPY --from=files /sub/c.py /app/", {"/app/c.py": "src/sub/c.py"}),
        ("COPY src /", "COPY --from=0 /sub/c.py /app", {"/app": "src/sub/c.py"}),
        ("COPY src /src", "COPY --from=files /src/*.py /app/", {"/app/a.py": "src/a.py"}),
        ("RUN true\nCOPY src /src", "COPY --from=files /src /app", SRC),
        ("COPY src /src\nRUN make -C /src", "COPY --from=files /src /app", {}),
    ],
)
def test_a_stage_that_only_passes_files_on(tmp_path: Path, stage: str, line: str, expected: dict[str, str]) -> None:
    found = read(make(tmp_path), f"FROM scratch AS files\n{stage}\nFROM base\n{line}\n")
    assert places(found) == expected
    assert ("src/a.py" in found.used) is (not expected)


def test_the_base_image_s_folder_and_variables(tmp_path: Path) -> None:
    found = read(
        make(tmp_path), "FROM base\nCOPY train .\nCOPY serve $TOOLS/\n", folder="/w", environment={"TOOLS": "/tools"}
    )
    assert places(found) == {"/w/train": "train", "/tools/serve": "serve"}


def test_build_arguments_win(tmp_path: Path) -> None:
    root, text = make(tmp_path), "ARG A=/one\nFROM base\nARG A\nARG B=/two\nCOPY train $A/\nCOPY serve $B/\n"
    assert places(read(root, text)) == {"/one/train": "train", "/two/serve": "serve"}
    assert places(read(root, text, args={"A": "/1", "B": "/2"})) == {"/1/train": "train", "/2/serve": "serve"}


def test_what_else_is_to_be_known_of_the_stages(tmp_path: Path) -> None:
    text = """ARG BASE=debian
FROM golang AS tool
COPY src /src
RUN make
FROM $BASE AS base
ENV CODE=/code
COPY nothing \\
  train* $CODE/
FROM base
ARG TARGETARCH
WORKDIR $CODE
ADD data.tar.gz data
ADD https://example.com/$TARGETARCH /opt/
COPY <<EOF /etc/x
EOF
COPY --from=tool /src/a.py /out/tool /bin/
COPY --from=tool /src /src
"""
    found = read(make(tmp_path), text, args=dockerfile.platform_arguments("linux/arm64"))
    assert (found.base, found.folder, found.environment) == ("debian", "/code", {"CODE": "/code"})
    assert {place: (each.source, each.line) for place, each in found.files.items()} == {"/code/train": ("train", 7)}
    assert found.absent == [("nothing", 7)]
    assert {place: placed.source for place, placed in found.remade.items()} == {
        "/bin/a.py": "src/a.py",
        "/src/a.py": "src/a.py",
        "/src/b.txt": "src/b.txt",
        "/src/sub/c.py": "src/sub/c.py",
    }
    assert {"/code/data", "/opt/arm64", "/etc/x", "/bin/tool", "/src"} <= set(found.made)
    assert [(line.word, line.line) for line, _ in found.lines][:4] == [
        ("ENV", 6),
        ("COPY", 7),
        ("ARG", 10),
        ("WORKDIR", 11),
    ]
    assert found.lines[3].values == {"CODE": "/code", "TARGETARCH": "arm64"}


def test_folders_that_images_have(tmp_path: Path) -> None:
    tree = context.Tree(make(tmp_path), tmp_path / "Dockerfile")
    text = "FROM base\nCOPY train /usr/local/bin\nCOPY serve /opt/program\n"
    found = copies.placement(dockerfile.parse(text), "", tree)
    assert places(found) == {"/usr/local/bin/train": "train", "/opt/program": "serve"}


# -- what a RUN uses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("COPY requirements.txt /tmp/\nRUN pip install --no-cache-dir -r /tmp/requirements.txt", {"requirements.txt"}),
        ("WORKDIR /a\nCOPY requirements.txt ./\nRUN pip install -r requirements.txt && rm -r x", {"requirements.txt"}),
        ("COPY requirements.txt /a/\nRUN cd /a && python3 -m pip install -r requirements.txt", {"requirements.txt"}),
        ("RUN --mount=type=bind,source=requirements.txt,target=/r.txt pip install -r /r.txt", {"requirements.txt"}),
        ("RUN --mount=type=secret,id=x --mount=type=cache,target=/c pip install numpy", set()),
        ("WORKDIR /a\nCOPY src .\nRUN pip install .[all]", {"src/a.py", "src/b.txt", "src/sub/c.py"}),
        ("WORKDIR /a\nCOPY src .\nRUN pip install -e .", set()),
        ("COPY src /a\nRUN python -m compileall /a && chmod -R 755 /a && ls /a", set()),
        ("COPY src /a\nRUN find /a -name x; mkdir -p /a/models", set()),
        ("WORKDIR /a\nCOPY src ./\nRUN make", {"src/a.py", "src/b.txt", "src/sub/c.py"}),
        ("COPY train serve /bin/\nRUN chmod +x /bin/train /bin/serve", set()),
        ("COPY train serve /bin/\nRUN sed -i 's/\\r$//' /bin/train", {"train"}),
        ("COPY train serve /bin/\nRUN dos2unix /bin/*", {"train", "serve"}),
        ("COPY train /a/\nRUN python /a/train --prepare", {"train"}),
        ("COPY train /a/\nRUN /a/train --prepare", {"train"}),
        ('COPY train /a/\nRUN ["python", "/a/train"]', {"train"}),
        ("COPY train /a/\nRUN <<EOF\npython /a/train\nEOF", {"train"}),
        ("COPY src /a\nRUN PIP_CERT=/x pip install /a", {"src/a.py", "src/b.txt", "src/sub/c.py"}),
        ("RUN pip install -r /tmp/requirements.txt\nCOPY requirements.txt /tmp/", set()),
        ("ADD data.tar.gz /data/", {"data.tar.gz"}),
    ],
)
def test_what_a_step_of_the_build_uses(tmp_path: Path, lines: str, expected: set[str]) -> None:
    assert set(read(make(tmp_path), f"FROM base\n{lines}\n").used) == expected


def test_what_only_an_installation_reads(tmp_path: Path) -> None:
    lines = "COPY requirements.txt train /a/\nRUN pip install -r /a/requirements.txt; python /a/train"
    used = read(make(tmp_path), f"FROM base\n{lines}\n").used
    assert used["requirements.txt"].input_only
    assert not used["train"].input_only
    assert used["train"].step == "`RUN python /a/train`"


@pytest.mark.parametrize(
    ("lines", "place", "folders"),
    [
        ("COPY src /app/src", "/app/src/sub/c.py", ("src", "/app/src")),
        ("COPY . /app", "/app/src/a.py", ("", "/app")),
        ("COPY train /x/", "/x/train", ("", "/x")),
        ("COPY train /train", "/train", ("", "/")),
        ("COPY train /x/run", "/x/run", ("train", "/x/run")),
        ("COPY src/a.py /x/src/", "/x/src/a.py", ("src", "/x/src")),
        ("COPY --parents src/a.py /x", "/x/src/a.py", ("", "/x")),
    ],
)
def test_which_folder_is_where(tmp_path: Path, lines: str, place: str, folders: tuple[str, str]) -> None:
    found = read(make(tmp_path), f"FROM base\n{lines}\n").files
    assert found[place].folders(place) == folders

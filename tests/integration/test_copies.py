"""What byoc reads of a Dockerfile's COPY lines is what the builder does."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import docker
import pytest

from byoc_cli import project
from byoc_cli.engine import builders, context, copies, dockerfile
from tests.integration.world import Byoc

pytestmark = pytest.mark.integration

FILES = (
    "src/a.py",
    "src/b.txt",
    "src/sub/c.py",
    "src/sub/x.log",
    "lib/l1.py",
    "lib/skip.py",
    "data/large.csv",
    "data/sample.csv",
    "we ird/ü n.py",
    "deep/a/b/f.py",
    "globs/x1/m.py",
    "globs/x2/m.py",
    "globs/x2/n.py",
    "train",
    "serve",
    "other",
)
LINKS = {"to_folder": "src", "to_file": "src/b.txt", "src/inner": "../lib", "src/near": "a.py", "dangling": "/nowhere"}
IGNORED = """*
!src
!lib
!train
!serve
!data/sample.csv
!we ird
!deep
!globs
!to_*
!dangling
src/sub/*.log
**/skip.py
"""
DOCKERFILE = """FROM scratch AS files
WORKDIR /made
COPY lib lib/
COPY src/b.txt .

FROM scratch
ARG CODE=/w/code
ENV CODE=${CODE} \\
    APP="$CODE/app"
WORKDIR ${CODE}
COPY train serve /w/bin/
COPY src .
COPY to_folder ${APP}/one
COPY to_folder/ ${APP}/two/
COPY to_folder/sub ${APP}/three
COPY to_file ${APP}/
COPY to_fold* /w/four/
COPY to_fol* train /w/five/
COPY to_fil? /w/six/
COPY globs/*/m.py ./glob/
COPY globs/x? /w/globs/
COPY [^a-ks-z]* /w/seven/
COPY ["we ird", "./we ird/"]
COPY deep/a /w/deep
COPY --from=files /made/b.txt /made/lib/l1.py /w/eight/
COPY --from=files /made/lib /w/nine
COPY --from=files /made /w/ten/
COPY data /w/data
COPY . /w/all
CMD ["x"]
"""


def test_a_file_is_where_byoc_says(byoc: Byoc, tmp_path: Path, tag: str, docker_client: docker.DockerClient) -> None:
    if builders.find().kind == "classic":
        pytest.skip("it follows no links")
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o755)
    for name, target in LINKS.items():
        (tmp_path / name).symlink_to(target)
    (tmp_path / ".dockerignore").write_text(IGNORED)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "byoc.toml").write_text(f'image = "byoc-copies:{tag}"\n')
    assert byoc("build", cwd=tmp_path).code == 0

    made = project.load(tmp_path, {})
    tree = context.Tree(made.root, made.dockerfile)
    placed = copies.placement(dockerfile.parse(DOCKERFILE), "", tree).files
    said = {}
    for place, each in placed.items():
        path = tmp_path / each.source
        linked = path.is_symlink() and not (each.direct and path.is_file())
        said[place] = f"-> {path.readlink()}" if linked else path.read_text()

    container = docker_client.containers.create(made.image)
    try:
        archive = io.BytesIO(b"".join(container.get_archive("/w")[0]))
    finally:
        container.remove()
    with tarfile.open(fileobj=archive) as tar:
        there = {}
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content or member.issym():
                there[f"/{member.name}"] = content.read().decode() if content else f"-> {member.linkname}"
    assert said == there

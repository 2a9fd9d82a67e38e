"""Projects that are not ours in spirit, every folder that byoc is called from, and users who are not root."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.integration.world import BYOC, LABEL, REPOSITORY, Byoc, copied, environment

pytestmark = pytest.mark.integration


def test_a_project_in_shell_and_perl_with_only_a_dockerfile(
    byoc: Byoc, tmp_path: Path, tag: str, free_port: int
) -> None:
    project = copied("perl", tmp_path)
    (project / "numbers.csv").write_text("a,1\nb,2\nc,6\n")
    env = {"BYOC_IMAGE": f"mean:{tag}", "BYOC_PORT": str(free_port)}

    built = byoc("build", cwd=project, env=env)
    assert (built.code, built.stdout) == (0, f"mean:{tag}\n"), built.stderr
    trained = byoc("local-train", "--channel", "training=numbers.csv", "--hyperparam", "column=2", cwd=project, env=env)
    assert trained.code == 0, trained.stderr
    assert "mean=3\n" in trained.stderr
    assert (project / ".byoc/latest/model/mean").read_text() == "3\n"
    served = byoc("serve", "--detach", cwd=project, env=env)
    assert (served.code, served.stdout) == (0, f"http://127.0.0.1:{free_port}/invocations\n"), served.stderr
    predicted = byoc("predict", "-", "--content-type", "text/csv", cwd=project, env=env, stdin="10\n")
    assert (predicted.code, predicted.stdout) == (0, "7\n"), predicted.stderr
    assert byoc("stop", cwd=project, env=env).code == 0


def test_without_any_file_the_folder_s_name_is_the_image_s(byoc: Byoc, tmp_path: Path, tag: str) -> None:
    project = tmp_path / f"My {tag.upper()}"
    project.mkdir()
    (project / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    built = byoc("build", "--json", cwd=project)
    assert built.code == 0, built.stderr
    assert built.json()["image"] == f"my-{tag}:latest"
    assert set(built.json()) == {"image", "id", "platform", "size", "seconds"}
    assert built.json()["platform"] == "linux/amd64"


def test_from_the_repository_s_root_from_container_and_from_below(
    byoc: Byoc, tmp_path: Path, tag: str, actor: str
) -> None:
    container = tmp_path / "shop" / "container"
    (container / "code" / "deep").mkdir(parents=True)
    (container / "Dockerfile").write_text(f"FROM {actor}\n")
    (container / "byoc.toml").write_text(
        f'image = "shop:{tag}"\n[train]\nchannels = {{ training = "data" }}\nhyperparameters = {{ act = "look" }}\n'
    )
    (container / "data").mkdir()
    (container / "data" / "x").write_text("x")
    assert byoc("build", "shop", cwd=tmp_path).stdout == f"shop:{tag}\n"
    for folder, shown in (
        (container.parent, "container/.byoc/runs/"),
        (container, ".byoc/runs/"),
        (container / "code" / "deep", str(container / ".byoc/runs/")),
    ):
        ran = byoc("local-train", cwd=folder)
        assert ran.code == 0, ran.stderr
        assert ran.stdout.startswith(shown)
        assert (folder / ran.stdout.strip() / "model.tar.gz").is_file()
    assert len(list((container / ".byoc/runs").iterdir())) == 3
    # By a name that is a link, it is the same project.
    (tmp_path / "link").symlink_to(container)
    assert byoc("logs", cwd=tmp_path / "link").stdout.count("step ") == 3


# -- an ordinary user -------------------------------------------------------------------------------------------------


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder that its owner can reach: pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="byoc-user-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def user(home: Path) -> Iterator[pwd.struct_passwd]:
    """A user of the group docker, for the time of a test."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a user")
    socket = Path("/var/run/docker.sock")
    if not shutil.which("useradd") or not socket.exists() or grp.getgrgid(socket.stat().st_gid).gr_name != "docker":
        pytest.skip("needs useradd, and an engine whose socket belongs to the group docker")
    name = f"byoc{os.getpid()}"
    subprocess.run(["useradd", "--home-dir", str(home), "--groups", "docker", "--no-log-init", name], check=True)
    own = pwd.getpwnam(name)
    os.chown(home, own.pw_uid, own.pw_gid)
    yield own
    subprocess.run(["userdel", name], check=True, capture_output=True)


def test_an_ordinary_user_owns_all_that_is_left(
    home: Path, user: pwd.struct_passwd, tag: str, docker_client: docker.DockerClient
) -> None:
    project = copied("actor", home)
    (project / "byoc.toml").write_text(f'image = "ordinary:{tag}"\n[train.hyperparameters]\nact = "look"\n')
    for path in (project, *project.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    become = [
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        f"--groups={grp.getgrnam('docker').gr_gid}",
    ]
    if (
        subprocess.run([*become, "test", "-x", BYOC], check=False).returncode
        or subprocess.run([*become, BYOC, "--version"], capture_output=True, check=False).returncode
    ):
        # The environment of these tests lies where the user may not read: he may, for once, but not write.
        become += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    env = environment({"HOME": str(home), "USER": user.pw_name, "TMPDIR": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"})

    def byoc(*words: str) -> str:
        ran = subprocess.run([*become, BYOC, *words], cwd=project, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    assert byoc("build") == f"ordinary:{tag}"
    run = project / byoc("local-train", "--channel", f"training={REPOSITORY / 'LICENSE'}")
    assert "act" in byoc("predict", "byoc.toml", "--json")
    assert byoc("ps", "--json") == "[]"

    found = [project / ".byoc", *(project / ".byoc").rglob("*")]
    assert len(found) > 15
    for path in found:
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (user.pw_uid, user.pw_gid), path
        assert path.is_symlink() or status.st_mode & (0o700 if path.is_dir() else 0o600) >= 0o600, path
    assert (run / "model/private").read_text() == "for its owner only\n"
    # buildx keeps its own state in ~/.docker; nobody writes a configuration there.
    assert {path.name for path in home.iterdir()} <= {"actor", ".docker"}
    assert not (home / ".docker/config.json").exists()
    byoc("clean", "--keep", "0", "--yes")
    label = f"{LABEL}={project}"
    assert docker_client.containers.list(all=True, filters={"label": label}) == []
    assert docker_client.networks.list(filters={"label": label}) == []
    assert docker_client.volumes.list(filters={"label": label}) == []
    shutil.rmtree(project / ".byoc")

"""The set-up's real shell functions in sandbox folders, and what it made on this machine."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
SETUP = REPOSITORY / "scripts" / "setup"
LIBRARY = REPOSITORY / "scripts" / "lib"
BASE_REFERENCE = "python:3.11-slim-bookworm"
BASE_IMAGE = "byoc-base:bookworm-py3.11"

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose state and caches lie in the test's own folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return kept | {"HOME": str(tmp_path / "home")}


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """A repository of its own, with nothing but a pyproject.toml."""
    repository = tmp_path / "repository"
    repository.mkdir()
    shutil.copy(REPOSITORY / "pyproject.toml", repository)
    return repository


@pytest.fixture
def shell(sandbox: Path, home: dict[str, str]) -> Shell:
    """Run a line of bash with the set-up's functions loaded, in the sandbox."""

    def run(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        pieces = "common apt env engine buildx base_image data sdk_v2"
        load = f'for piece in {pieces}; do . "$LIB/$piece.sh"; done; step_begin test'
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{load}\n{line}"],
            env=home | {"REPO": str(sandbox), "LIB": str(LIBRARY), **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


# The environment: only a finished one is trusted.


@pytest.fixture
def finished_env(sandbox: Path, shell: Shell) -> Path:
    """A small environment that carries every mark of a finished one."""
    environment = sandbox / ".venv"
    venv.create(environment, symlinks=True)
    (environment / "bin" / "byoc").write_text("#!/bin/sh\n")
    (environment / "bin" / "byoc").chmod(0o755)
    assert shell('env_fingerprint >"$VENV_STAMP"').returncode == 0
    return environment


def test_finished_env_is_trusted(finished_env: Path, shell: Shell) -> None:
    assert shell("env_trusted").returncode == 0


def interrupt(environment: Path) -> None:
    (environment / "byoc-unfinished").touch()


def lose_stamp(environment: Path) -> None:
    (environment / "byoc-stamp").unlink()


def change_project(environment: Path) -> None:
    with (environment.parent / "pyproject.toml").open("a") as file:
        file.write("\n# another dependency\n")


def lose_interpreter(environment: Path) -> None:
    for python in (environment / "bin").glob("python*"):
        python.unlink()
        python.symlink_to("/gone/python3")


def lose_command(environment: Path) -> None:
    (environment / "bin" / "byoc").unlink()


@pytest.mark.parametrize("harm", [interrupt, lose_stamp, change_project, lose_interpreter, lose_command])
def test_env_that_is_half_made_or_outdated_is_not_trusted(
    finished_env: Path, shell: Shell, harm: Callable[[Path], None]
) -> None:
    harm(finished_env)
    assert shell("env_trusted").returncode != 0


def test_moved_env_is_not_trusted(finished_env: Path, shell: Shell, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    finished_env.parent.rename(elsewhere)
    assert shell("env_trusted", REPO=str(elsewhere)).returncode != 0


def test_an_sdk_that_is_half_made_or_another_one_is_not_trusted(finished_env: Path, shell: Shell) -> None:
    made = 'mkdir -p "$SDK_VENV/bin"; ln -sf /bin/true "$SDK_VENV/bin/python"'
    assert shell(f"{made}; sdk_trusted").returncode != 0, "it has no stamp"
    assert shell('sdk_fingerprint >"$SDK_STAMP"; sdk_trusted').returncode == 0
    assert shell("SDK_REQUIREMENT='sagemaker==2.240'; sdk_trusted").returncode != 0
    assert shell('ln -sf /gone/python3 "$SDK_VENV/bin/python"; sdk_trusted').returncode != 0


def test_python_is_one_that_runs(shell: Shell, tmp_path: Path) -> None:
    """A version manager's stand-in answers to a name that it has no version for."""
    broken = tmp_path / "bin" / "python3.13"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'python3.13: no such version' >&2\nexit 127\n")
    broken.chmod(0o755)
    found = shell("find_python", PATH=f"{broken.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert found.returncode == 0
    assert Path(found.stdout.strip()).is_file()
    assert found.stdout.strip() != str(broken)


# The engine: stale pid files, and only one of ours is stopped.


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A live process whose program is `sleep`."""
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


def test_pid_file_of_dead_process_is_removed(shell: Shell, tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    file = tmp_path / "engine.pid"
    file.write_text(str(dead.pid))
    assert shell(f"clear_stale_pid_file {file} dockerd").returncode == 0
    assert not file.exists()


def test_pid_file_of_other_program_is_removed(shell: Shell, tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    file = tmp_path / "engine.pid"
    file.write_text(str(sleeper.pid))
    assert shell(f"clear_stale_pid_file {file} dockerd").returncode == 0
    assert not file.exists()
    assert sleeper.poll() is None


def test_pid_file_of_running_program_stays(shell: Shell, tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    file = tmp_path / "engine.pid"
    file.write_text(str(sleeper.pid))
    kept = shell(f"clear_stale_pid_file {file} sleep && process_from {file} sleep")
    assert kept.stdout.strip() == str(sleeper.pid)
    assert file.exists()


def test_stop_leaves_a_foreign_process_alone(home: dict[str, str], sleeper: subprocess.Popen[bytes]) -> None:
    """The number of our dead engine has gone to another process."""
    record = Path(home["HOME"]) / ".local" / "state" / "byoc" / "engine"
    record.parent.mkdir(parents=True)
    record.write_text(f"{sleeper.pid} 1 dockerd\n")
    stopped = run_setup("stop", env=home)
    assert stopped.returncode == 0
    assert "left alone" in stopped.stderr
    assert sleeper.poll() is None
    assert not record.exists()


def test_unreachable_docker_host_is_named(shell: Shell) -> None:
    refused = shell("refuse_unfixable_engine 'the cause'", DOCKER_HOST="unix:///nowhere.sock")
    assert refused.returncode == 3
    assert "DOCKER_HOST=unix:///nowhere.sock" in refused.stderr
    assert "the cause" in refused.stderr
    assert "hint:" in refused.stderr


# The script as a whole.


def run_setup(*steps: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SETUP, *steps], env=env, capture_output=True, text=True, timeout=300, check=False)


def test_second_run_at_once_waits_and_says_so(home: dict[str, str]) -> None:
    lock_file = Path(home["HOME"]) / ".local" / "state" / "byoc" / "setup.lock"
    lock_file.parent.mkdir(parents=True)
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen([SETUP, "stop"], env=home, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert "waiting" in process.stderr.readline()
        assert process.poll() is None
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "no engine that we started" in rest


def test_unknown_step_is_a_usage_error(home: dict[str, str]) -> None:
    refused = run_setup("everything", env=home)
    assert refused.returncode == 2
    assert "unknown step 'everything'" in refused.stderr
    assert "hint:" in refused.stderr


def test_second_run_reuses_everything() -> None:
    if not (REPOSITORY / ".venv" / "byoc-stamp").exists():
        pytest.skip("the set-up has not made this environment")
    first, again = (run_setup("env", "engine", "base-image", env=dict(os.environ)) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert again.returncode == 0, again.stderr
    steps = [line for line in again.stderr.splitlines() if line.startswith("  ")]
    assert len(steps) == 4, again.stderr  # two base images
    for line in steps:
        assert "(reused)" in line or "the registry answers" in line


# The data: a link into the cache, unless the user has put files there.


def test_empty_data_folder_becomes_a_link_to_the_cache(shell: Shell, sandbox: Path, home: dict[str, str]) -> None:
    data = sandbox / "container" / "data" / "cifar-10"
    data.mkdir(parents=True)
    assert shell("link_data").returncode == 0
    assert data.is_symlink()
    assert data.resolve() == Path(home["HOME"]) / ".cache" / "byoc" / "cifar-10"


def test_link_to_a_lost_cache_is_renewed(shell: Shell, sandbox: Path) -> None:
    data = sandbox / "container" / "data" / "cifar-10"
    data.parent.mkdir(parents=True)
    data.symlink_to("/gone/cifar-10")
    assert shell("link_data").returncode == 0
    assert data.is_dir()


def test_own_data_stays(shell: Shell, sandbox: Path) -> None:
    data = sandbox / "container" / "data" / "cifar-10"
    data.mkdir(parents=True)
    (data / "train.tfrecords").write_bytes(b"mine")
    linked = shell("link_data; data_finished")
    assert linked.returncode != 0  # one of three files is not finished
    assert not data.is_symlink()
    assert (data / "train.tfrecords").read_bytes() == b"mine"


# The base image.


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="only where apt is")
def test_sources_of_another_suite_come_from_this_machine(shell: Shell) -> None:
    codename = shell('. /etc/os-release; echo "${ID:-} ${VERSION_CODENAME:-}"').stdout.split()
    lines = shell("debian_sources sometime").stdout.splitlines()
    if codename[:1] != ["debian"]:
        assert lines == []
        return
    assert any(line.split()[-2] == "sometime" for line in lines)
    assert not any(codename[1] in line for line in lines)


@pytest.fixture
def labelled_image(docker_client: docker.DockerClient) -> Iterator[Callable[..., str]]:
    """Import an empty image with some labels."""
    made: list[str] = []

    def make(**labels: str) -> str:
        empty = io.BytesIO()
        with tarfile.open(fileobj=empty, mode="w"):
            pass
        repository, tag = "byoc-test-setup", f"{os.getpid()}-{len(made)}"
        changes = [f"LABEL byoc.{key.replace('_', '-')}={value}" for key, value in labels.items()]
        docker_client.api.import_image_from_data(empty.getvalue(), repository=repository, tag=tag, changes=changes)
        name = f"{repository}:{tag}"
        made.append(name)
        return name

    yield make
    for name in made:
        docker_client.images.remove(name)


def test_base_image_is_trusted_only_with_our_label_and_recipe(shell: Shell, labelled_image: Callable[..., str]) -> None:
    recipe = shell('echo "$BASE_RECIPE"').stdout.strip()
    stranger = labelled_image()
    outdated = labelled_image(base_for="nothing-stands-for-this", recipe="an-older-one")
    ours = labelled_image(base_for="nothing-stands-for-this", recipe=recipe)
    for name, trusted in [(stranger, False), (outdated, False), (ours, True)]:
        seen = shell(f"BASE_REFERENCE=nothing-stands-for-this BASE_IMAGE={name}; base_image_trusted")
        assert (seen.returncode == 0) is trusted, name


@pytest.fixture
def base_image(docker_client: docker.DockerClient) -> str:
    """The stand-in that the set-up made; a machine with a registry has none."""
    try:
        labels = docker_client.images.get(BASE_IMAGE).labels
    except docker.errors.ImageNotFound:
        pytest.skip(f"no stand-in here: the registry gives {BASE_REFERENCE}")
    assert labels["byoc.base-for"] == BASE_REFERENCE
    return BASE_IMAGE


def in_image(image: str, script: str) -> str:
    return subprocess.run(
        ["docker", "run", "--rm", "--network", "none", image, "sh", "-ec", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def test_base_image_has_the_official_names(base_image: str) -> None:
    found = in_image(
        base_image,
        "for name in python python3 python3.11 pip pip3; do command -v $name; $name --version; done;"
        'python -c "import ssl, sqlite3, venv, lzma, ctypes"; python -m pip --version; echo $LANG; apt-get --version',
    )
    assert found.count("/usr/local/bin/") == 5
    assert found.count("Python 3.11.") == 3
    assert "C.UTF-8" in found


def test_base_image_lets_pip_install_into_the_system(base_image: str) -> None:
    """Debian's mark of an externally managed Python would refuse before it looks for the package."""
    said = in_image(base_image, "pip install --no-index nothing-of-this-name 2>&1 || true")
    assert "externally-managed" not in said
    assert "No matching distribution" in said


def test_base_image_holds_nothing_of_this_machine(base_image: str) -> None:
    said = in_image(
        base_image,
        "ls /usr/local/share/ca-certificates; ls /etc/pip.conf /root/.config /root/.pip 2>/dev/null || true;"
        "grep -ri proxy /etc/apt/apt.conf.d || true",
    )
    assert said == ""
    certificates = [
        line.encode()
        for file in Path("/usr/local/share/ca-certificates").glob("*.crt")
        for line in file.read_text().splitlines()[1:3]  # two lines of base64 are unmistakable
    ]
    saved = subprocess.run(["docker", "save", base_image], capture_output=True, timeout=120, check=True).stdout
    assert len(saved) > 100_000_000
    assert [line for line in certificates if line in saved] == []

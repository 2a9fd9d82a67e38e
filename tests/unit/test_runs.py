"""Run folders: names, redaction, the latest one, the commit."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from byoc_cli.contract.training import job_name_problem
from byoc_cli.errors import ByocError, UsageError
from byoc_cli.local import runs
from byoc_cli.project import Project

NOW = datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(root=tmp_path, image="my-model")


def test_jobs_that_start_in_the_same_millisecond_get_names_of_their_own(project: Project) -> None:
    name = runs.new_job_name("my-model", NOW)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: runs.create(project, name, or_like=True).name, range(8)))
    assert name in made
    assert len(set(made)) == 8
    assert all(re.fullmatch(r"my-model(-\d+){7}", each) and not job_name_problem(each) for each in made)
    with pytest.raises(UsageError, match=f"there is a job '{name}' already"):
        runs.create(project, name)


def test_a_name_is_looked_at_before_it_is_taken(project: Project) -> None:
    runs.check_new(project, "j")
    runs.create(project, "j")
    with pytest.raises(UsageError, match="there is a job 'j' already"):
        runs.check_new(project, "j")


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("my-model", "my-model-2026-11-23-10-00-00-123"),
        ("my_model.v2", "my-model-v2-2026-11-23-10-00-00-123"),
        ("-x-", "x-2026-11-23-10-00-00-123"),
        ("", "job-2026-11-23-10-00-00-123"),
        ("日本", "job-2026-11-23-10-00-00-123"),
        ("x" * 100, "x" * 39 + "-2026-11-23-10-00-00-123"),
        ("x" * 38 + "-y", "x" * 38 + "-2026-11-23-10-00-00-123"),
    ],
)
def test_t25_a_new_job_s_name(image: str, name: str) -> None:
    made = runs.new_job_name(image, NOW)
    assert made == name
    assert len(made) <= 63
    assert job_name_problem(made) == ""


def test_a_run_s_folder_is_made_in_a_home_that_git_ignores(project: Project) -> None:
    run = runs.create(project, "job-1")
    assert run.folder == project.root / ".byoc" / "runs" / "job-1"
    assert run.config.is_dir()
    assert (project.home / ".gitignore").read_text() == "*\n"


def test_a_gitignore_of_the_user_stays(project: Project) -> None:
    project.home.mkdir()
    (project.home / ".gitignore").write_text("mine\n")
    runs.create(project, "job-1")
    assert (project.home / ".gitignore").read_text() == "mine\n"


def test_a_name_that_is_taken(project: Project) -> None:
    runs.create(project, "job-1")
    with pytest.raises(UsageError, match="there is a job 'job-1' already") as caught:
        runs.create(project, "job-1")
    assert "--name" in caught.value.hint


def test_a_home_that_cannot_be_made(project: Project) -> None:
    project.home.write_text("a file in its place")
    with pytest.raises(ByocError, match="cannot be written"):
        runs.create(project, "job-1")


# -- the latest --------------------------------------------------------------------------------------------------------


def test_latest_points_at_the_run_relatively(project: Project) -> None:
    assert runs.latest(project) is None
    runs.point_latest(project, runs.create(project, "job-1"))
    runs.point_latest(project, runs.create(project, "job-2"))
    assert (project.home / "latest").readlink() == Path("runs/job-2")
    latest = runs.latest(project)
    assert latest is not None
    assert latest.name == "job-2"


def test_a_latest_whose_run_is_gone_is_none(project: Project) -> None:
    run = runs.create(project, "job-1")
    runs.point_latest(project, run)
    runs.remove(run)
    assert runs.latest(project) is None


def test_latest_is_never_absent_while_others_set_it(project: Project) -> None:
    made = [runs.create(project, f"job-{number}") for number in range(4)]
    runs.point_latest(project, made[0])
    missing: list[int] = []

    def point(run: runs.Run) -> None:
        for _ in range(50):
            runs.point_latest(project, run)
            if runs.latest(project) is None:
                missing.append(1)

    threads = [threading.Thread(target=point, args=(run,)) for run in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []
    assert sorted(path.name for path in project.home.iterdir()) == [".gitignore", "latest", "runs"]


def test_runs_are_listed_the_newest_first(project: Project) -> None:
    import os

    assert runs.all_runs(project) == []
    for number in range(3):
        os.utime(runs.create(project, f"job-{number}").folder, (number, number))
    (project.home / "runs" / "a-file").touch()
    assert [run.name for run in runs.all_runs(project)] == ["job-2", "job-1", "job-0"]


def test_the_newest_run_is_the_one_that_was_made_last_whatever_was_written_since(project: Project) -> None:
    for number in (1, 0, 2):
        description = {"CreationTime": f"2026-11-2{number}T10:00:00.000+00:00"}
        runs.create(project, f"job-{number}").write_description(description)
    assert [run.name for run in runs.all_runs(project)] == ["job-2", "job-1", "job-0"]


@pytest.mark.parametrize("name", ["job-1", ".byoc/runs/job-1", ".byoc/latest", "sub/../.byoc/runs/job-1/"])
def test_a_run_is_got_by_name_or_path(project: Project, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    run = runs.create(project, "job-1")
    runs.point_latest(project, run)
    monkeypatch.chdir(project.root)
    assert runs.get(project, name) == run


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("jop-1", "did you mean 'job-1'?"),
        ("11-23", "did you mean 'm-2026-11-23-a' or 'm-2026-11-23-b'?"),
        ("zzz", "byoc runs lists the jobs"),
        ("", "byoc runs lists the jobs"),
        ("..", "byoc runs lists the jobs"),
        ("/", "byoc runs lists the jobs"),
    ],
)
def test_a_run_that_is_not_there_names_its_neighbours(project: Project, name: str, hint: str) -> None:
    for job in ("job-1", "m-2026-11-23-a", "m-2026-11-23-b"):
        runs.create(project, job)
    with pytest.raises(ByocError) as caught:
        runs.get(project, name)
    assert caught.value.message == f"there is no job '{name}' in {project.home / 'runs'}"
    # Runs of the same moment come in any order.
    assert sorted(caught.value.hint.rstrip("?").split()) == sorted(hint.rstrip("?").split())


@pytest.mark.parametrize("stamp", [None, 5, "", "yesterday", "2026-13-01", ["x"]])
def test_what_is_no_time(stamp: object) -> None:
    assert runs.seconds(stamp) is None


@pytest.mark.parametrize(("name", "found"), [("job-1", True), ("job-2", False), ("", False), ("../runs/job-1", False)])
def test_a_run_is_found_by_its_name_only(project: Project, name: str, found: bool) -> None:
    runs.create(project, "job-1")
    assert (runs.find(project, name) is not None) == found


@pytest.mark.parametrize("name", ["..", "."])
def test_a_dot_is_no_run(project: Project, name: str) -> None:
    runs.create(project, "job-1")
    assert runs.find(project, name) is None


# -- job.json ----------------------------------------------------------------------------------------------------------


def test_a_description_is_written_whole_and_read_again(project: Project) -> None:
    run = runs.create(project, "job-1")
    assert run.describe() == {}
    run.write_description({"a": "ü"})
    run.write_description({"a": "b"})
    assert run.describe() == {"a": "b"}
    assert json.loads((run.folder / "job.json").read_text()) == {"a": "b"}
    assert sorted(path.name for path in run.folder.iterdir()) == ["input", "job.json"]


@pytest.mark.parametrize("content", [b'{"a": ', b"[1, 2]", b"3", b"", b"\xff"])
def test_a_broken_description_is_none(project: Project, content: bytes) -> None:
    run = runs.create(project, "job-1")
    (run.folder / "job.json").write_bytes(content)
    assert run.describe() == {}


# -- secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", "x"),
        ("WANDB_API_KEY", "x"),
        ("apikey", "x"),
        ("api-key", "x"),
        ("HF_TOKEN", "x"),
        ("db_password", "x"),
        ("PASSWD", "x"),
        ("PASSPHRASE", "x"),
        ("CLIENT_SECRET", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("PRIVATE_KEY", "x"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "x"),
        ("BASIC_AUTH", "x"),
        ("note", "AKIAIOSFODNN7EXAMPLE"),
        ("note", "key=ASIAIOSFODNN7EXAMPLE;"),
        ("note", "ghp_" + "a" * 36),
        ("note", "github_pat_" + "a" * 30),
        ("note", "sk-" + "a" * 32),
        ("note", "sk-proj-" + "a1_" * 10),
        ("note", "hf_" + "a" * 30),
        ("note", "xoxb-123456789012-abc"),
        ("note", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc"),
        ("note", "-----BEGIN RSA PRIVATE KEY-----\nabc"),
        ("note", "-----BEGIN PRIVATE KEY-----\nabc"),
        ("URL", "postgres://user:secret@db/x"),
        ("URL", "https://user:secret@example.com/simple"),
    ],
)
def test_what_looks_like_a_secret_is_redacted(name: str, value: str) -> None:
    assert runs.redact({name: value}) == {name: "<redacted>"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train-steps", "100"),
        ("learning-rate", "0.001"),
        ("monkey", "banana"),
        ("keyword", "x"),
        ("HF_TOKEN", ""),
        ("URL", "https://example.com/a:b@c"),
        ("URL", "s3://bucket/key"),
        ("note", "task-1234567890123456"),
        ("LOG_LEVEL", "debug"),
        ("model", "sk-learn"),
    ],
)
def test_what_does_not_is_kept(name: str, value: str) -> None:
    assert runs.redact({name: value}) == {name: value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", "512"),
        ("token_dim", "1e3"),
        ("tokenizer", "bert-base"),
        ("tokenization", "bpe"),
        ("author", "me"),
    ],
)
def test_hyperparameters_of_language_models_are_no_secrets(name: str, value: str) -> None:
    assert runs.redact({name: value}) == {name: value}


@pytest.mark.parametrize(("name", "value"), [("DB_PASSWORD", "123456"), ("auth_token", "12345-abc")])
def test_a_number_may_be_a_secret_all_the_same(name: str, value: str) -> None:
    assert runs.redact({name: value}) == {name: "<redacted>"}


# -- the commit --------------------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run(["git", "-C", str(folder), *own, *words], check=True, capture_output=True)


def test_the_commit_is_noted_and_what_is_not_in_it(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "train").write_text("1")
    git(tmp_path, "add", "train")
    git(tmp_path, "commit", "-m", "x")
    git(tmp_path, "tag", "v1")
    commit = runs.git_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "train").write_text("2")
    assert runs.git_commit(tmp_path) == commit + "-dirty"


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs.git_commit(tmp_path) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert runs.git_commit(tmp_path) == ""

"""Rules on facts made by hand: what no small image shows. The rest is on real images, tests/integration/check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from byoc_cli.check.model import Rule, Step, passed
from byoc_cli.check.registry import RegistryFacts
from byoc_cli.check.static.programs import Program, Programs
from byoc_cli.check.table import STEPS
from byoc_cli.contract import image as manifests
from byoc_cli.contract.rules import RULES
from byoc_cli.engine.types import ImageConfig
from tests.unit.check_world import facts, judged, start

STATIC = [rule for step in STEPS if step.name == "static" for rule in step.rules]


def test_a_sound_image_passes_all_rules_but_what_is_not_asked_of_it() -> None:
    assert {rule.id: rule.judge(facts()).result for rule in STATIC if rule.judge(facts()).result != "pass"} == {
        "I-16": "skip"
    }


@pytest.mark.parametrize(
    "rule", [rule for step in STEPS for rule in step.rules], ids=lambda rule: f"{rule.id} {rule.step.name}"
)
def test_a_rule_has_its_data_beside_it(rule: Rule[Any]) -> None:
    assert rule.level == RULES[rule.id].level
    assert rule.source
    assert rule.remedy
    assert len(rule.sentence) <= 70, "it is a line of a list"
    assert not rule.sentence.endswith(".")


def test_one_function_for_each_rule_and_step() -> None:
    for step in STEPS:
        assert len({rule.id for rule in step.rules}) == len(step.rules)


def test_an_id_that_is_none_cannot_be_registered() -> None:
    with pytest.raises(KeyError, match="T-99 is no rule of the contract"):
        Step("step", "step", "", lambda *_: None).rule("T-01", "", "", also=("T-99",))


def test_i10_an_image_over_10_gb_names_its_largest_layers() -> None:
    verdict = judged("I-10", facts(size=17 << 30, layers=[(9 << 30, "RUN pip install everything")]))
    assert verdict.result == "warn"
    assert "18.3 GB" in verdict.seen
    assert "9.7 GB: RUN pip install everything" in verdict.seen
    assert "Image size 18253611008 is greater than supported size" in verdict.cloud
    assert judged("I-10", facts(size=10 << 30)).result == "pass"


def test_i01_a_push_from_a_containerd_store_warns() -> None:
    verdict = judged("I-01", facts(manifest=manifests.OCI_INDEX))
    assert verdict.result == "warn"
    assert "Unsupported manifest media type application/vnd.oci.image.index.v1+json" in verdict.cloud
    assert judged("I-01", facts(manifest="")).result == "skip"


def test_i04_a_graviton_type_wants_arm64() -> None:
    assert judged("I-04", facts(architecture="arm64")).result == "fail"
    assert judged("I-04", facts(architecture="arm64", of="arm64")).result == "pass"


def test_i16_cuda_is_for_information() -> None:
    verdict = judged("I-16", facts(ImageConfig(environment={"CUDA_VERSION": "12.4.1"})))
    assert (verdict.result, verdict.seen) == ("pass", "CUDA 12.4.1")


def test_t29_where_python_s_folders_are_not_known_nothing_is_claimed() -> None:
    config = ImageConfig(environment={"SAGEMAKER_PROGRAM": "train.py"})
    assert judged("T-29", facts(config, toolkit=None)).result == "skip"
    assert judged("T-29", facts(config, toolkit="")).result == "warn"
    assert judged("T-29", facts(config, toolkit="/lib/sagemaker_training")).result == "pass"


def test_t09_no_bash_is_fine_for_all_but_the_sdk() -> None:
    verdict = judged("T-09", facts(bash="", python=""))
    assert (verdict.result, "no /bin/bash and no python" in verdict.seen) == ("skip", True)


def test_t60_what_trains_has_to_write() -> None:
    """A `train` that is in no folder of PATH is meant to train, too."""
    image = facts(ImageConfig(user="1000"))
    assert judged("T-60", image).result == "fail"
    none = start("train", program=Program("train"), on_path=Program("train"))
    assert judged("T-60", replace(image, train=none)).result == "warn"
    assert judged("T-60", replace(image, train=replace(none, elsewhere="/app/train"))).result == "fail"


@pytest.mark.parametrize("user", ["", "0", "root", "0:0", "root:root", "0:users"])
def test_t60_root_by_any_name(user: str) -> None:
    assert judged("T-60", facts(ImageConfig(user=user))).result == "pass"


@pytest.mark.parametrize(
    ("volume", "result"), [("/opt/ml", "warn"), ("/opt/ml/model/", "warn"), ("/opt/mlx", "pass"), ("/data", "pass")]
)
def test_i12_volumes(volume: str, result: str) -> None:
    assert judged("I-12", facts(ImageConfig(volumes=[volume]))).result == result


@pytest.mark.parametrize(
    ("signal", "result"), [("SIGTERM", "pass"), ("15", "pass"), ("SIGQUIT", "warn"), ("9", "warn")]
)
def test_i12_stop_signals(signal: str, result: str) -> None:
    assert judged("I-12", facts(ImageConfig(stop_signal=signal))).result == result


@pytest.mark.parametrize(
    ("label", "result", "fix"),
    [
        ("com.amazonaws.sagemaker.capabilities.multi-models=true", "pass", ""),
        ("com.amazonaws.sagemaker.capabilities.multi-models=false", "pass", ""),
        ("com.amazonaws.sagemaker.capabilities.something-new=1", "pass", ""),
        ("maintainer=me", "pass", ""),
        (
            "com.amazonaws.sagemaker.capabilities.multi-models=True",
            "fail",
            "com.amazonaws.sagemaker.capabilities.multi-models=true",
        ),
        (
            "com.amazonaws.sagemaker.capabilities.multi-model=true",
            "fail",
            "com.amazonaws.sagemaker.capabilities.multi-models=true",
        ),
        (
            "com.amazonaws.sagemaker.capability.accept-bind-to-port=true",
            "fail",
            "com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true",
        ),
        (
            "com.amazonaws.sagemaker.capabilities.Accept-Bind-To-Port=true",
            "fail",
            "com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true",
        ),
    ],
)
def test_i14_labels(label: str, result: str, fix: str) -> None:
    name, _, value = label.partition("=")
    verdict = judged("I-14", facts(labels={name: value}))
    assert (verdict.result, verdict.fix) == (result, f"LABEL {fix}" if fix else "")


@pytest.mark.parametrize(
    ("entrypoint", "result"),
    [
        ((), "pass"),
        (("/bin/sh", "-c", "python train.py"), "fail"),
        (("/bin/bash", "-o", "pipefail", "-c", "python train.py"), "fail"),
        (("/bin/sh", "-c", "exec python train.py"), "warn"),
        (("/bin/sh", "/entry.sh"), "pass"),
        (("/bin/sh", "-c", 'exec "$0" "$@"'), "pass"),
    ],
)
def test_t06_shell_forms(entrypoint: tuple[str, ...], result: str) -> None:
    made = Programs(NoFiles(), {}, "", entrypoint).start("train", [])  # type: ignore[arg-type]
    verdict = judged("T-06", facts(ImageConfig(entrypoint=entrypoint), train=made))
    assert verdict.result == result
    if result != "pass":
        assert 'ENTRYPOINT ["python", "train.py"]' in verdict.fix


@pytest.mark.parametrize(
    ("text", "mentions", "changes"),
    [
        ("exec python3 train.py", True, False),
        ("constrain everything; start the server", False, False),
        ("source activate env", False, True),
        ("export PATH=/opt/conda/bin:$PATH", False, True),
        ("PYTHONPATH=/app python3 app.py", False, False),
        (". /opt/env.sh", False, True),
    ],
)
def test_what_an_entrypoint_may_do_besides(text: str, mentions: bool, changes: bool) -> None:
    made = start("train", program=Program("/entry", "/entry", text=text, shebang="/bin/sh"), by_entrypoint=True)
    assert (made.mentions("train"), made.changes_path) == (mentions, changes)


def test_t29_to_look_whether_a_variable_is_there_is_not_to_need_it() -> None:
    def verdict(text: str) -> str:
        program = Program("train", "/train", text=text, shebang="/bin/sh")
        return judged("T-29", facts(train=start("train", program=program, on_path=program))).result

    assert verdict('cd "$SM_MODEL_DIR"') == "warn"
    assert verdict('if [ -n "$SM_MODEL_DIR" ]; then echo set; fi') == "pass"
    assert verdict('x = os.environ["SM_MODEL_DIR"] if "SM_MODEL_DIR" in os.environ else "/opt/ml/model"') == "pass"


@pytest.mark.parametrize(
    ("text", "word", "knows", "executes"),
    [
        ('case "$1" in\n train) python t.py;;\nesac', "train", True, False),
        ("python train.py", "train", False, False),
        ("# train\n", "train", False, False),
        ("/opt/train/run", "train", False, False),
        ('if [ "$1" = serve ]; then\n  gunicorn app\nelse\n  eval "$@"\nfi', "serve", True, True),
        ('exec "$@"', "train", False, True),
        ("exec $*  # whatever", "train", False, True),
        ('python main.py "$@"', "train", False, False),
        ('exec gosu app "$@"', "train", False, False),
        ('[ -n "$DEBUG" ] && set -x; exec "$@"', "train", False, True),
    ],
)
def test_what_an_entrypoint_does_with_the_word(text: str, word: str, knows: bool, executes: bool) -> None:
    script = Program("/entry", "/entry", text=text, shebang="/bin/sh")
    made = start("train", argv=["/entry", "train"], program=script, by_entrypoint=True)
    assert (made.speaks_of(word), made.executes_its_arguments) == (knows, executes)


def test_i06_all_that_is_wrong_with_a_file_is_said_at_once() -> None:
    broken = Program(
        "train", "/bin/train", executable=False, text="#!/usr/bin/julia\r\n1\r\n", shebang="/usr/bin/julia\r"
    )
    verdict = judged("I-06", facts(train=start("train", program=broken, on_path=broken)))
    assert verdict.seen.splitlines() == [
        "/bin/train is not executable",
        "/bin/train has Windows line ends (CRLF); its first line is '#!/usr/bin/julia\\r'",
        "/bin/train begins with #!/usr/bin/julia, and /usr/bin/julia is not in the image",
    ]
    assert verdict.fix.startswith("RUN chmod +x /bin/train\nRUN sed -i 's/\\r$//' /bin/train")


def test_i06_python_is_given_any_file_a_shell_is_not() -> None:
    script = Program("/main", "/main", executable=False, text="a\r\nb\r\n")
    by_python = start("train", program=Program("python3", "/usr/bin/python3", machine="amd64"), script=script)
    assert judged("I-06", facts(train=by_python)).result == "pass"
    by_shell = start("train", program=Program("sh", "/bin/sh", machine="amd64"), script=script)
    assert "Windows line ends" in judged("I-06", facts(train=by_shell)).seen


class NoFiles:
    """An image with nothing in it."""

    def real(self, path: str) -> None:  # noqa: ARG002
        return None


# -- the registry ------------------------------------------------------------------------------------------------------


def registry(**changes: object) -> RegistryFacts:
    """What ECR says of a sound image."""
    host = "123456789012.dkr.ecr.us-west-2." + "amazonaws.com"
    plain = {"uri": f"{host}/a:1", "region": "us-west-2", "media_type": manifests.ACCEPTED, "digest": "sha256:1"}
    return RegistryFacts(**{**plain, "same": True, "policy": "", "labels": {}} | changes)  # type: ignore[arg-type]


def test_i05_a_uri_that_is_too_long_or_of_another_region() -> None:
    assert judged("I-05", registry(), "registry").result == "pass"
    assert judged("I-05", registry(uri="a" * 256), "registry").result == "warn"
    assert judged("I-05", registry(region="eu-west-1"), "registry").result == "warn"


def test_h33_a_policy_is_asked_of_pipelines_only() -> None:
    claim = {"com.amazonaws.sagemaker.capabilities.accept-bind-to-port": "true"}
    policy = '{"Statement": [{"Principal": {"Service": "sagemaker.amazonaws.com"}}]}'
    assert judged("H-33", registry(), "registry").result == "skip"
    assert judged("H-33", registry(labels=claim), "registry").result == "warn"
    assert judged("H-33", registry(labels=claim, policy=policy), "registry") == passed(
        "the repository's policy names sagemaker.amazonaws.com"
    )


def test_i03b_another_image_in_ecr_warns() -> None:
    assert judged("I-03b", registry(same=False), "registry").result == "warn"

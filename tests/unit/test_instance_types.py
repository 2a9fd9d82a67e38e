"""The table of instance types, and what of it a container is given on a machine of some size."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from byoc_cli.contract import image, instance_types, instance_types_data
from byoc_cli.contract.instance_types import InstanceType
from byoc_cli.errors import UsageError
from byoc_cli.local.resources import Machine, Resources, fit, gpus_here, instance_type, parse_size

GIB = 1 << 30
LARGE = Machine(cpus=256, memory=4096 * GIB, gpus=16)
SMALL = Machine(cpus=2, memory=int(23.54 * GIB))


def known(name: str) -> InstanceType:
    found = instance_types.find(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "cpus", "gibibytes", "gpus", "gpu_name", "architecture", "chips"),
    [
        ("ml.m5.xlarge", 4, 16, 0, "", "amd64", ""),
        ("ml.m6gd.large", 2, 8, 0, "", "arm64", ""),
        ("ml.p3.2xlarge", 8, 61, 1, "V100", "amd64", ""),
        ("ml.g5.12xlarge", 48, 192, 4, "A10G", "amd64", ""),
        ("ml.g6.xlarge", 4, 16, 1, "L4", "amd64", ""),
        ("ml.p5.48xlarge", 192, 2048, 8, "H100", "amd64", ""),
        ("ml.trn1.32xlarge", 128, 512, 0, "", "amd64", "16 Trainium"),
        ("ml.inf2.xlarge", 4, 16, 0, "", "amd64", "1 Inferentia2"),
    ],
)
def test_what_well_known_types_have(
    name: str, cpus: int, gibibytes: int, gpus: int, gpu_name: str, architecture: str, chips: str
) -> None:
    found = known(name)
    assert (found.cpus, found.memory) == (cpus, gibibytes * GIB)
    assert (found.gpus, found.gpu_name, found.chips) == (gpus, gpu_name, chips)
    assert found.architecture == architecture


def test_the_table_says_when_and_of_what_it_was_made() -> None:
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", instance_types.DATE)
    assert re.search(r"\bbotocore \d+\.\d+", instance_types_data.SOURCES)
    assert re.search(r"\bmoto \d+\.\d+", instance_types_data.SOURCES)


def test_every_row_is_whole() -> None:
    for name in instance_types_data.TABLE:
        found = known(name)
        assert re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", name), name
        assert found.uses, name
        assert found.uses <= {"training", "hosting", "transform"}, name
        assert (found.gpus > 0) == bool(found.gpu_name), name
        if found.figures:
            assert found.memory >= GIB, name
            assert found.architecture == image.architecture_for(name), name


def test_most_rows_have_figures() -> None:
    have = [known(name).figures for name in instance_types_data.TABLE]
    assert len(have) > 300
    assert sum(have) > 0.98 * len(have)


def test_a_name_without_figures_is_known_all_the_same() -> None:
    found = known("ml.p6e-gb200.36xlarge")
    assert not found.figures
    assert found.uses == {"training", "hosting"}
    assert instance_types.find("ml.m5.xlage") is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ml.m5.xlage", "ml.m5.xlarge"),
        ("m5.xlarge", "ml.m5.xlarge"),
        ("p3.2xlarge", "ml.p3.2xlarge"),
        ("ML.G5.XLARGE", "ml.g5.xlarge"),
        ("local", ""),
        ("", ""),
    ],
)
def test_the_nearest_name(name: str, meant: str) -> None:
    assert instance_types.nearest(name) == meant


def test_a_name_that_is_none_is_refused_with_the_nearest() -> None:
    assert instance_type("ml.m5.xlarge") == known("ml.m5.xlarge")
    with pytest.raises(UsageError, match=r"--instance-type m5\.xlarge: there is no such instance type") as caught:
        instance_type("m5.xlarge")
    assert instance_types.DATE in caught.value.message
    assert caught.value.hint == "did you mean ml.m5.xlarge?"
    with pytest.raises(UsageError) as caught:
        instance_type("local")
    assert caught.value.hint == "for example: --instance-type ml.m5.xlarge"


def test_a_type_that_is_not_for_training_is_refused() -> None:
    assert instance_type("ml.inf2.xlarge", "hosting").chips == "1 Inferentia2"
    with pytest.raises(
        UsageError, match=r"ml\.inf2\.xlarge: SageMaker has it for hosting and transform, not for training"
    ):
        instance_type("ml.inf2.xlarge")


# -- what a container is given ---------------------------------------------------------------------------------------


def test_on_a_larger_machine_the_instance_s_own() -> None:
    assert fit(known("ml.m5.xlarge"), LARGE) == Resources(cpuset="0-3", memory=16 * GIB)
    assert fit(known("ml.g5.12xlarge"), LARGE) == Resources(cpuset="0-47", memory=192 * GIB, gpus="4")
    assert fit(known("ml.m5.xlarge"), LARGE, shm_size=GIB).shm_size == GIB


def test_one_cpu_is_a_set_without_a_dash() -> None:
    assert fit(replace(known("ml.m5.xlarge"), cpus=1), SMALL).cpuset == "0"


def test_on_a_machine_of_the_same_size_nothing_is_limited_or_said() -> None:
    assert fit(known("ml.m5.xlarge"), Machine(cpus=4, memory=16 * GIB)) == Resources()


@pytest.mark.parametrize(
    ("name", "machine", "note"),
    [
        (
            "ml.p3.16xlarge",
            SMALL,
            "ml.p3.16xlarge has 64 CPUs, 488 GiB and 8 GPUs; this machine gives 2 CPUs, 23.5 GiB and no GPU",
        ),
        ("ml.m5.xlarge", SMALL, "ml.m5.xlarge has 4 CPUs; this machine gives 2 CPUs"),
        ("ml.m5.xlarge", Machine(1, 8 * GIB), "ml.m5.xlarge has 4 CPUs and 16 GiB; this machine gives 1 CPU and 8 GiB"),
        ("ml.g4dn.xlarge", replace(LARGE, gpus=0), "ml.g4dn.xlarge has 1 GPU; this machine gives no GPU"),
        ("ml.g5.12xlarge", replace(LARGE, gpus=1), "ml.g5.12xlarge has 4 GPUs; this machine gives 1 GPU"),
        ("ml.trn1.32xlarge", LARGE, "ml.trn1.32xlarge has 16 Trainium; this machine gives no Trainium"),
    ],
)
def test_one_line_says_what_is_less_here(name: str, machine: Machine, note: str) -> None:
    assert fit(known(name), machine).note == note


def test_what_is_more_is_limited_and_what_is_less_is_not() -> None:
    given = fit(known("ml.m5.xlarge"), SMALL)
    assert (given.cpuset, given.memory) == ("", 16 * GIB)
    given = fit(known("ml.m5.xlarge"), Machine(8, 8 * GIB))
    assert (given.cpuset, given.memory) == ("0-3", 0)


def test_gpus_are_the_instance_s_as_far_as_they_are_here() -> None:
    assert fit(known("ml.g5.12xlarge"), replace(LARGE, gpus=2)).gpus == "2"
    assert fit(known("ml.g5.12xlarge"), SMALL).gpus == "none"
    assert fit(known("ml.m5.xlarge"), LARGE).gpus == "none"


@pytest.mark.parametrize("asked", ["none", "all", "3"])
def test_gpus_that_were_asked_for_win_and_need_no_note(asked: str) -> None:
    given = fit(known("ml.g4dn.xlarge"), replace(LARGE, gpus=0), gpus=asked)
    assert (given.gpus, given.note) == (asked, "")


def test_hosts_have_cpus_of_their_own_where_there_are_enough() -> None:
    type_, machine = known("ml.m5.xlarge"), Machine(8, 64 * GIB)
    assert [fit(type_, machine, host_index=host, hosts=2).cpuset for host in range(2)] == ["0-3", "4-7"]
    assert fit(type_, machine, host_index=1, hosts=2).note == ""


def test_hosts_share_cpus_where_there_are_not_enough() -> None:
    type_, machine = known("ml.m5.xlarge"), Machine(6, 64 * GIB)
    given = [fit(type_, machine, host_index=host, hosts=3) for host in range(3)]
    assert [each.cpuset for each in given] == ["0-3", "0-1,4-5", "2-5"]
    assert {each.note for each in given} == {"3 hosts of ml.m5.xlarge have 12 CPUs; this machine gives 6 CPUs"}


def test_hosts_with_chips_have_them_each() -> None:
    note = fit(known("ml.trn1.2xlarge"), LARGE, hosts=2).note
    assert note == "2 hosts of ml.trn1.2xlarge have 1 Trainium each; this machine gives no Trainium"


def test_a_type_without_figures_limits_nothing_and_says_so() -> None:
    given = fit(known("ml.p6e-gb200.36xlarge"), SMALL, shm_size=GIB)
    note = "how large ml.p6e-gb200.36xlarge is, is in no public table: it limits nothing"
    assert given == Resources(shm_size=GIB, note=note)


def test_gpus_of_this_machine(tmp_path: Path) -> None:
    def toolkit(name: str) -> str | None:
        return "/usr/bin/nvidia-ctk" if name == "nvidia-ctk" else None

    drivers = tmp_path / "gpus"
    assert gpus_here(drivers, toolkit) == 0
    for address in ("0000:00:1e.0", "0000:00:1f.0"):
        (drivers / address).mkdir(parents=True)
    assert gpus_here(drivers, toolkit) == 2
    assert gpus_here(drivers, lambda _: None) == 0


# -- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2g", 2 << 30),
        ("512m", 512 << 20),
        ("64MiB", 64 << 20),
        ("64 MB", 64 << 20),
        ("1.5G", 3 << 29),
        ("8k", 8 << 10),
        ("1t", 1 << 40),
        ("67108864", 64 << 20),
        ("67108864b", 64 << 20),
        (" 1gb ", 1 << 30),
    ],
)
def test_a_size_as_docker_reads_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "g", "0", "0.4", "-1g", "2x", "2 g b", "1e3", "2g2", "9" * 400, "99999999p", "nan", "²g"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match=r"--shm-size .*: that is not a size") as caught:
        parse_size(text)
    assert caught.value.hint == "for example: --shm-size 2g, or 512m"

import doctest

import pytest

from tasks.catalogue import catalogue, find
from tasks.catalogue import names as module
from tasks.errors import BadInput


def test_the_example_of_the_documentation_holds():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("h100", "H100-SXM5-80GB"),
        ("H100-SXM5-80GB", "H100-SXM5-80GB"),
        ("h100 pcie", "H100-PCIe-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM5-80GB"),
        ("a100 80gb", "A100-SXM4-80GB"),
        ("A100 40GB", "A100-SXM4-40GB"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("l4", "L4"),
        ("l40s", "L40S-48GB"),
        ("AMD Instinct MI300X", "MI300X"),
        ("tpu-v6e", "TPU v6e"),
        ("trillium", "TPU v6e"),
        ("gb200", "GB200"),
        ("b200", "B200-SXM-180GB"),
        ("EPYC 9654", "EPYC 9654"),
        ("Intel Gaudi 3", "Gaudi 3"),
    ],
)
def test_names_are_found_as_people_write_them(written, meant):
    assert find(written, catalogue()).name == meant


@pytest.mark.parametrize("device", catalogue(), ids=lambda device: device.name)
def test_every_device_is_found_by_its_names(device):
    for name in (device.name, device.name.lower().replace("-", " "), *device.aliases):
        assert find(name, catalogue()).name == device.name


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("h1000", "h1000 is not in the catalogue; the nearest are H100"),
        ("MI300A", "the nearest are MI300X"),
        ("", "is not in the catalogue"),
        ("a10", "a10 may be A10G, A100-SXM4-40GB, A100-SXM4-80GB: write more of the name"),
        ("tpu", "tpu may be TPU v4"),
        ("nvidia", "nvidia is not in the catalogue"),
    ],
)
def test_a_name_that_means_none_or_several_is_refused_with_the_nearest(written, said):
    with pytest.raises(BadInput) as caught:
        find(written, catalogue())
    assert said in str(caught.value) and "\n" not in str(caught.value)

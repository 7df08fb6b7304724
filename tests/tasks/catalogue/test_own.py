"""The user's own file: what it overrides, what it adds, and what is refused, with line and column."""

import pytest

from tasks.catalogue import catalogue, find
from tasks.errors import BadInput

CSV = """name,kind,bfloat16_tflops,memory_gb,usd_per_hour,date
h100,,,,2.5,2026-11-20
my card,consumer-gpu,71,24,,
"""

YAML = """devices:
- name: H100-SXM5-80GB
  usd_per_hour: 2.5
  provider: our cluster
  source: invoice of November
- name: my card
  kind: consumer-gpu
  vendor: NVIDIA
  bfloat16_tflops: 71
  memory_gb: 24
  notes: ~
"""


def written(folder, text, suffix="csv"):
    path = folder / f"own.{suffix}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(("text", "suffix"), [(CSV, "csv"), (YAML, "yaml"), (YAML.partition("\n")[2], "yml"), ("\ufeff" + CSV, "CSV")])
def test_a_file_overrides_a_field_at_a_time_and_adds(tmp_path, text, suffix):
    known, own = catalogue(), catalogue(written(tmp_path, text, suffix))
    before, after = find("h100", known), find("h100", own)
    assert after.price and (after.price.usd_per_hour, after.price.devices_per_instance) == (2.5, 1)
    assert len(after.prices) == 1
    assert (after.peaks, after.memory_bytes, after.aliases, after.kind) == (before.peaks, before.memory_bytes, before.aliases, before.kind)
    card = find("my card", own)
    assert (card.peaks, card.memory_bytes, card.price, card.memory_bandwidth) == ({"bfloat16": 71e12}, 24 * 10**9, None, None)
    assert len(own) == len(known) + 1
    assert catalogue() == known


def test_its_numbers_name_the_place_or_the_source_that_is_given(tmp_path):
    path = written(tmp_path, CSV)
    assert find("my card", catalogue(path)).figures["memory_gb"].sources == (f"{path}, line 3",)
    price = find("h100", catalogue(written(tmp_path, YAML, "yaml"))).price
    assert price and (price.source, price.provider) == ("invoice of November", "our cluster")


def test_a_number_that_is_overridden_keeps_no_old_conflict(tmp_path):
    own = catalogue(written(tmp_path, "name,bfloat16_tflops\nrtx 4090,146\n"))
    assert find("rtx 4090", own).peaks["bfloat16"] == 146e12
    assert not any("bfloat16" in line for line in find("rtx 4090", own).conflicts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,bfloat16_tflops\nh100,989e12\n", "line 2, column 2: bfloat16_tflops: 989e12 TFLOP/s, dense are not credible"),
        ("name,memory_gb\n\nh100,80000000000\n", "line 3, column 2: memory_gb: 80000000000 GB are not credible"),
        ("name,memory_gbps\nh100,-3350\n", "line 2, column 2: memory_gbps: -3350 GB/s are not credible"),
        ("name,memory_gbps\nh100,nan\n", "line 2, column 2: memory_gbps: nan GB/s are not credible"),
        ("name,memory_gbps\nh100,inf\n", "not credible"),
        ("name,memory_gb\nh100,80GB\n", "line 2, column 2: memory_gb: 80GB is no number; write GB without a unit"),
        ("name,memory_gib\nh100,80\n", "line 2, column 2: there is no column memory_gib; the nearest is memory_gb"),
        ("name,bf16_tflops\nh100,80\n", "there is no column bf16_tflops; the nearest is bfloat16_tflops"),
        ("name,fp4_tflops\nh100,80\n", "there is no column fp4_tflops; the nearest is fp8_tflops"),
        ("name,usd_per_hour\nh100,1\nH100-SXM5-80GB,2\n", "line 3, column 1: H100-SXM5-80GB is there twice, first in line 2"),
        ("name,kind,memory_gb\nx,gpu,8\n", "line 2, column 2: gpu is no kind: one of dc-gpu"),
        ("name,kind,memory_gb\nx,this machine,8\n", "this machine is no kind"),
        ("name,kind,memory_gb\nHere,cpu,8\n", "line 2, column 1: Here is this machine, which is measured"),
        ("name,kind,memory_gb\nthis machine,cpu,8\n", "give another name, or its price with --price-here"),
        ("name,memory_gb\nx,8\n", "line 2, column 1: x is new, so it needs a kind"),
        ("name,kind\nx,cpu\n", "x is new, and no number says what it can do"),
        ("kind,memory_gb\ncpu,8\n", "line 2, column 1: this device has no name"),
        ("name,usd_per_hour\nh100,-1\n", "usd_per_hour: -1 dollars an hour"),
        ("name,instance\nh100,p5\n", "line 2, column 2: a price needs usd_per_hour"),
        ("name,usd_per_hour\nh100,-5\n", "line 2, column 2: usd_per_hour: -5 dollars"),
        ("name,usd_per_hour,date\nh100,1,20.7.2026\n", "line 2, column 3: 20.7.2026 is no date: write it as 2026-07-20"),
        (
            "name,usd_per_hour,devices_per_instance\nh100,1,2.5\n",
            "devices_per_instance: 2.5 devices are not credible: write a whole number",
        ),
        ("name,name\nh100,h200\n", "line 1, column 1: the column name is there twice"),
        ("name;memory_gb\nh100;80\n", "line 1, column 1: the columns are not separated by commas"),
        ("name,memory_gb\nh100,80,90\n", "line 2, column 3: 3 values in a table of 2 columns"),
        ("name,memory_gb\nh100,1,5\n", "3 values in a table of 2 columns"),
        ("name,memory_gb\n", "names no device"),
        ("", "is empty: name a CSV or YAML file"),
        (b"name,memory_gb\nh100,\xff\n", "is no CSV"),
        (b"\x00\x01", "own.csv"),
        ('name,memory_gb\n"h100,80\n', "is no CSV"),
    ],
)
def test_csv_that_makes_no_sense_is_refused(tmp_path, text, said):
    refused(written(tmp_path, text), said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- name: h100\n  bfloat16_tflops: 989e12\n", "line 2, column 20: bfloat16_tflops: 989e12 TFLOP/s, dense are not credible"),
        ("- name: h100\n  memory_gb: 1\n  memory_gb: 2\n", "memory_gb is given twice"),
        ("- name: h100\n  memory_gb: [80]\n", "line 2, column 14: a single value is wanted"),
        ("- h100\n", "line 1, column 3: a device is written as name: value lines"),
        ("h100: 1\n", "has no list of devices"),
        ("devices: 5\n", "has no list of devices"),
        ("", "has no list of devices"),
        ("- name: ~\n  memory_gb: 5\n", "line 2, column 14: this device has no name"),
        ("- {}\n", "has a device without a name"),
        ("- [\n", "is no YAML"),
        ("- name: h100\n  memory: 80\n", "there is no column memory; the nearest is memory_gb"),
        ("- name: h100\n  date: 2026-13-45\n  usd_per_hour: 1\n", "own.yaml"),
    ],
)
def test_yaml_that_makes_no_sense_is_refused(tmp_path, text, said):
    refused(written(tmp_path, text, "yaml"), said)


def test_a_file_that_is_none_is_refused(tmp_path):
    refused(tmp_path / "own.csv", "cannot be read (No such file or directory)")
    refused(written(tmp_path, "name\n", "txt"), "is neither .csv nor .yaml")
    refused(tmp_path, "is neither .csv nor .yaml")


def refused(path, said):
    with pytest.raises(BadInput) as caught:
        catalogue(path)
    message = str(caught.value)
    assert said in message and "\n" not in message and message.count(str(path)) == 1

import csv
import io
import json

from cka_cli.specs import KERNELS, MEASURES
from tests.cli.command import run_here


def test_every_measure_and_kernel_is_listed_in_each_format(capsysbinary):
    names = [*MEASURES, *KERNELS]
    ended = run_here(["measures"], capsysbinary)
    assert (ended.status, ended.err) == (0, "")
    assert [row["name"] for row in csv.DictReader(io.StringIO(ended.out.decode()))] == names
    entries = json.loads(run_here(["measures", "--format", "json"], capsysbinary).out)
    assert [entry["name"] for entry in entries] == names
    table = run_here(["measures", "--format", "table"], capsysbinary).out.decode()
    assert table.count(f"\n  {'formula':13} ") == len(names)
    assert table.count("  (measure)\n") == len(MEASURES)
    assert table.count("  (kernel)\n") == len(KERNELS)

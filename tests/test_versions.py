"""What pyproject.toml says of versions is what `make test-oldest` tests."""

import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REQUIRED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]


def numbers(text):
    """The version as three numbers: 8.1 is 8.1.0."""
    return tuple([*map(int, re.findall(r"\d+", text)), 0, 0][:3])


@pytest.mark.parametrize("requirement", REQUIRED)
def test_every_requirement_is_a_least_version_which_the_oldest_environment_has(requirement):
    name, least = re.fullmatch(r"(\w+)>=([\d.]+)", requirement).groups()
    assert numbers(version(name)) >= numbers(least)
    if Path(sys.prefix).name == ".oldest":
        assert numbers(version(name)) == numbers(least)

"""What tests draw at random: the same in every run of `make test`, and always such that it can be drawn again."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import __main__ as fuzz

TESTS = Path(__file__).parent


def drawn():
    """What the profile `same` draws: the same function has the same draws."""
    found = []

    @settings(settings.get_profile("same"), max_examples=300)
    @given(st.integers(), st.text())
    def draw(number, text):
        found.append((number, text))

    draw()
    return found


def test_draws_do_not_depend_on_what_was_drawn_or_imported_before(tmp_path, monkeypatch):
    before = drawn()
    (tmp_path / "ours.py").write_text("\n".join(f"x{n} = {n * 7919}" for n in range(1000)), encoding="utf-8")
    module = ModuleType("ours")
    module.__file__ = str(tmp_path / "ours.py")
    monkeypatch.setitem(sys.modules, "ours", module)
    assert drawn() == before


@pytest.mark.parametrize("name", ["same", "fresh", "search"])
def test_no_profile_remembers_or_looks_at_a_clock(name):
    profile = settings.get_profile(name)
    assert (profile.database, profile.deadline) == (None, None)
    assert profile.derandomize == (name == "same")


def test_no_test_has_draws_of_its_own_kind():
    for path in TESTS.rglob("*.py"):
        if path.name not in ("conftest.py", Path(__file__).name):
            text = path.read_text(encoding="utf-8")
            assert "derandomize" not in text, path
            assert "default_rng()" not in text, path


def test_the_fuzzer_draws_a_seed_and_says_it(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuzz", "--count", "0"])
    seeds = set()
    for _ in range(2):
        assert fuzz.main() == 0
        first = capsys.readouterr().out.splitlines()[0]
        seeds.add(re.fullmatch(r"seed (\d+); a case is repeated by: --seed \1 --only NUMBER", first)[1])
    assert len(seeds) == 2


def test_a_case_is_not_repeated_without_its_seed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuzz", "--only", "3"])
    with pytest.raises(SystemExit) as ended:
        fuzz.main()
    assert ended.value.code == 2
    assert "--only: needs the --seed" in capsys.readouterr().err

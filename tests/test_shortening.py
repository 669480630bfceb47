import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cka_cli.shortening import shorten, shorten_names

LORA = [f"base_model.model.model.layers.{n}.self_attn.o_proj.lora_B.default" for n in range(14)]
BLOCKS = [
    f"transformer.{part}.block_{n:02d}.attention.output.dense.kernel" for part in ("enc", "dec") for n in range(6)
]
DIGITS = [f"features_of_the_network_number_{n}_after_training_on_all_of_it" for n in range(20)]
SAME_ENDS = [f"a_very_long_beginning_{n}_and_then_{'xyz' * 20}_{m}_and_an_end" for n in (1, 2) for m in range(4)]


@pytest.mark.parametrize("names", [LORA, BLOCKS, DIGITS, SAME_ENDS], ids=["lora", "blocks", "digits", "same ends"])
@pytest.mark.parametrize("room", [8, 12, 20, 28])
@pytest.mark.parametrize("keep_ends", [False, True])
def test_names_stay_different(names, room, keep_ends):
    short = shorten_names(names, room, len, keep_ends=keep_ends)
    assert len(set(short)) == len(names)
    assert max(map(len, short)) <= room


@given(
    st.lists(st.text("ab./1", min_size=1, max_size=40), min_size=1, max_size=12), st.integers(5, 30), st.booleans()
)  # fmt: skip
def test_any_names_stay_different_where_there_is_room_for_a_number(names, room, keep_ends):
    short = shorten_names(names, room, len, keep_ends=keep_ends)
    assert max(map(len, short)) <= room
    assert len(set(short)) == len(set(names))
    assert len(dict(zip(names, short, strict=True))) == len(set(zip(names, short, strict=True)))


def test_what_differs_is_what_stays():
    for name, short in zip(LORA, shorten_names(LORA, 28, len, keep_ends=True), strict=True):
        assert re.search(r"\d+", short)[0] == re.search(r"\d+", name)[0]
    assert shorten_names(DIGITS, 8, len)[:2] == ["…0…", "…1…"]


def test_ends_come_first_where_they_tell_names_apart():
    names = [f"encoder/{'block/' * 9}conv{n}" for n in range(3)]
    assert shorten_names(names, 12, len, keep_ends=True) == ["…block/conv0", "…block/conv1", "…block/conv2"]
    assert shorten_names(names, 99, len) == names


def test_what_no_ellipsis_tells_apart_is_numbered():
    names = ["x" * 30 + "a" + "x" * 30, "x" * 29 + "ab" + "x" * 30, "x" * 30 + "ba" + "x" * 29]
    short = shorten_names([*names, names[0]], 5, len)
    assert len(set(short)) == 3
    assert short[0] == short[3]


def test_a_number_is_not_cut():
    names = [f"x/{'block' * 9}{n}/{'relu' * 9}" for n in (1, 20, 30)]
    assert [re.findall(r"\d+", short) for short in shorten_names(names, 8, len)] == [["1"], ["20"], ["30"]]
    assert shorten("convolution12", 3, len) == "…12"
    assert shorten("convolution12", 2, len, 0) == "…"
    assert shorten("12convolution", 4, len, 0.4) == "…ion"
    assert shorten("at 20240131123456", 6, len, 0) == "…23456"  # a date, of which some digits are better than none

"""Numbers, sizes and lists as a person reads them."""

import math

import pytest

from cka_cli.text import aligned, cut, decimals, first_few, fixed, listed, memory_text, number_text, percent, size_text


@pytest.mark.parametrize(
    ("value", "n_decimals", "text"),
    [(0.0004, 3, "0.000"), (-0.0004, 3, "0.000"), (-0.0, 2, "0.00"), (-0.5, 0, "0"), (-12.3456, 2, "−12.35"),
     (1e3, 1, "1000.0"), (math.nan, 1, "nan"), (-math.inf, 1, "−inf"), (-100.0, 0, "−100")],
)  # fmt: skip
def test_fixed_has_no_sign_before_a_zero(value, n_decimals, text):
    assert fixed(value, n_decimals, minus="−") == text
    assert fixed(value, n_decimals) == text.replace("−", "-")


def test_numbers_say_what_three_decimals_would_not_show():
    bounded = [number_text(value, is_bounded=True) for value in (math.nan, 0.0, -1e-5, 0.12345, -0.5)]
    assert bounded == ["nan", "0.000", "0.000", "0.123", "-0.500"]
    assert [number_text(value, is_bounded=False) for value in (0.0, 1e-5, -0.02, 1234.5)] == [
        "0.000", "1.00e-05", "-0.020", "1.23e+03",
    ]  # fmt: skip
    assert [decimals(value) for value in (math.nan, 0.5, 5e-4, 4e-4, 1e-21, -1e-9)] == [
        "nan", "0.500", "0.001", "4.0e-04", "0", "0",
    ]  # fmt: skip


def test_percent_is_never_rounded_to_a_half_or_to_all():
    assert [percent(share) for share in (0, 0.004, 0.4949, 0.4999, 0.5, 0.9999, 1.0)] == [
        "less than 1 %", "less than 1 %", "49 %", "49.9 %", "50 %", "99.9 %", "100 %",
    ]  # fmt: skip


def test_sizes():
    assert [size_text(n) for n in (0, 1023, 1024, 3 << 19, 5 << 40, 1 << 52)] == [
        "0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 TiB", "4096.0 TiB",
    ]  # fmt: skip
    assert [memory_text(n) for n in (1000, 1 << 20, 3 << 19, 1500 << 20)] == [
        "0.9766KiB", "1MiB", "1.5MiB", "1500MiB",
    ]  # fmt: skip


def test_lists_say_that_there_are_more():
    assert [first_few(list(names), 2) for names in ("", "a", "ab", "abc")] == ["", "a", "a, b", "a, b, ..."]
    assert listed(list("abcd")) == listed(list("aabbccdd")) == "a, b, c, d"
    assert listed(list("abcde")) == "a, b, c, d and 1 more layer"
    assert listed(list("abcd"), "row", 2) == "a, b and 2 more rows"
    assert listed(list("abcd"), "", 3) == "a, b, c and 1 more"
    assert [cut(text, 3) for text in ("abc", "abcd")] == ["abc", "abc..."]


def test_columns_are_as_wide_as_their_widest_cell():
    assert aligned([("layer", "value"), ("a", "1.5"), ("longer", "")], left=(0,)) == [
        "layer   value", "a         1.5", "longer",
    ]  # fmt: skip
    wide = aligned(
        [("層", "1"), ("abc", "22")], left=(0,), width=lambda text: sum(1 + (letter > "z") for letter in text)
    )
    assert wide == ["層    1", "abc  22"]

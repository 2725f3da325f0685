from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.units import format_count, format_milliseconds, parse_bytes, parse_count, parse_milliseconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 MACs"),
        (999, "999 MACs"),
        (1_000, "1.00 kMACs"),
        (9_996, "10.0 kMACs"),
        (99_960_000, "100.0 MMACs"),
        (999_949_999, "999.9 MMACs"),
        (999_960_000, "1.00 GMACs"),
        (17_580_000_000, "17.6 GMACs"),
        (3_140_000_000_000, "3.14 TMACs"),
    ],
)
def test_format_rounds_over_to_the_next_prefix(value: int, text: str) -> None:
    assert format_count(value, "MACs") == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("83000000", 83_000_000),
        (" 80 M ", 80_000_000),
        ("1.2G", 1_200_000_000),
        (".5k", 500),
        ("2T", 2 * 10**12),
        ("1e9", 10**9),
        ("1.5e3k", 1_500_000),
        ("80m", 80_000_000),
        ("4.35G", 4_350_000_000),
    ],
)
def test_parse_reads_plain_scientific_and_prefixed(text: str, value: int) -> None:
    assert parse_count(text) == value


@pytest.mark.parametrize("text", ["", "M", "1,2G", "-3M", "nan", "inf", "1e999", "1.2X", "1.2GG", "5 MACs"])
def test_parse_names_what_is_allowed(text: str) -> None:
    with pytest.raises(StitchError, match="plain or scientific, alone or with k, M, G or T"):
        parse_count(text)


@given(st.integers(min_value=0, max_value=10**15))
def test_what_is_printed_reads_back_within_half_a_percent(value: int) -> None:
    assert parse_count(format_count(value, "MACs"), "MACs") == pytest.approx(value, rel=0.0051)
    assert parse_count(format_count(value)) == pytest.approx(value, rel=0.0051)
    assert parse_count(str(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "12.3 µs"), (0.99999, "1.00 ms"), (9.996, "10.0 ms"), (999.96, "1.00 s"), (61_000, "61.0 s")],
)
def test_times_keep_three_digits(value: float, text: str) -> None:
    assert format_milliseconds(value) == text


@given(st.floats(min_value=1e-3, max_value=1e6))
def test_a_time_that_is_printed_reads_back(value: float) -> None:
    assert parse_milliseconds(format_milliseconds(value)) == pytest.approx(value, rel=0.0051)
    assert parse_milliseconds(f"{value!r}ms") == value


@pytest.mark.parametrize("text", ["", "8", "ms", "-1ms", "8 min", "1,5ms", "nanms", "8MS"])
def test_a_time_needs_its_unit(text: str) -> None:
    with pytest.raises(StitchError, match="with its unit us, ms or s"):
        parse_milliseconds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("12B", 12), ("1kB", 1000), ("1 KiB", 1024), ("2mb", 2 * 10**6), ("1.5G", 15 * 10**8)],
)
def test_sizes_of_both_kinds_of_prefix(text: str, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["", "MB", "1iB", "-3M", "1.2X", "1,2GB", "3 MBB"])
def test_a_size_names_what_is_allowed(text: str) -> None:
    with pytest.raises(StitchError, match="alone or with k, M, G, T, Ki, Mi, Gi or Ti"):
        parse_bytes(text)

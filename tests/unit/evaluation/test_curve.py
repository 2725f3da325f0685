import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow, read_curve, write_curve

KEYS = ["index", "stitch", "macs", "params", "top1", "top1_low", "top1_high", "loss", "images", "on_front"]
ORIGINALS = ["original_top1", "original_top1_low", "original_top1_high", "original_loss"]

STITCHED = CurveRow(3, "tiny[0:2]+base[2:6]", 1_200_000, 34_567, 91.5, 90.2, 92.6, 0.31, 797, True)
ANCHOR = CurveRow(
    0, "tiny[0:6]", 400_000, 11_734, 90.0, 88.0, 92.0, 0.4, 797, False, "tiny", 91.7, 89.5, 93.4, 0.35
)

percent = st.floats(0, 100)
rows = st.builds(
    CurveRow,
    index=st.integers(0, 10**30),
    stitch=st.just("a[0:1]+b[1:2]"),
    macs=st.integers(0, 10**15),
    params=st.integers(0, 10**12),
    top1=percent,
    top1_low=percent,
    top1_high=percent,
    loss=st.floats(0, 1e6),
    images=st.integers(1, 10**9),
    on_front=st.booleans(),
    anchor=st.none() | st.just("a"),
    original_top1=st.none() | percent,
)


@given(written=st.lists(rows, min_size=1, max_size=5))
@settings(deadline=None, max_examples=50)
def test_what_is_written_reads_back(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("curve") / "curve.jsonl"
    write_curve(path, written)
    assert read_curve(path) == written


def test_lines_are_plain_json_with_these_keys(tmp_path):
    path = tmp_path / "curve.jsonl"
    write_curve(path, [ANCHOR, STITCHED])
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert list(second) == KEYS
    assert list(first) == [*KEYS, "anchor", *ORIGINALS]
    assert list(path.parent.iterdir()) == [path]
    assert (second["macs"], second["on_front"], first["original_loss"]) == (1_200_000, True, 0.35)


def test_a_curve_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "curve.jsonl"
    write_curve(path, [ANCHOR])
    before = path.read_bytes()

    def breaking_off():
        yield STITCHED
        raise RuntimeError("no more rows")

    with pytest.raises(RuntimeError, match="no more rows"):
        write_curve(path, breaking_off())
    assert path.read_bytes() == before


def test_unknown_keys_and_empty_lines_are_passed_over(tmp_path):
    path = tmp_path / "curve.jsonl"
    line = json.dumps({**STITCHED.to_dict(), "latency_ms": 1.9})
    path.write_text(f"\n{line}\n\n", encoding="utf-8")
    assert read_curve(path) == [STITCHED]


def without(key):
    return json.dumps({name: value for name, value in STITCHED.to_dict().items() if name != key})


def with_value(key, value):
    return json.dumps({**STITCHED.to_dict(), key: value})


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        '{"index": 0, "sti',
        "[1, 2]",
        "7",
        "null",
        '"text"',
        "{}",
        *(without(key) for key in KEYS),
        with_value("macs", "1.2M"),
        with_value("macs", 1.5),
        with_value("params", None),
        with_value("index", True),
        with_value("top1", "91.5"),
        with_value("loss", [0.3]),
        with_value("stitch", 5),
        with_value("on_front", "yes"),
        with_value("anchor", 3),
        with_value("original_top1", "high"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line):
    path = tmp_path / "curve.jsonl"
    path.write_text("\n".join([json.dumps(STITCHED.to_dict()), "", line]) + "\n", encoding="utf-8")
    with pytest.raises(StitchError, match=r"curve\.jsonl, line 3, is not a row of a curve"):
        read_curve(path)


def test_a_loss_may_be_infinite_as_a_broken_stitch_has_it(tmp_path):
    path = tmp_path / "curve.jsonl"
    write_curve(path, [replace(STITCHED, loss=math.inf), replace(STITCHED, loss=math.nan)])
    first, second = read_curve(path)
    assert math.isinf(first.loss)
    assert math.isnan(second.loss)


def test_whole_numbers_are_numbers(tmp_path):
    path = tmp_path / "curve.jsonl"
    path.write_text(with_value("top1", 91), encoding="utf-8")
    assert read_curve(path)[0].top1 == 91


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_file_without_rows_is_refused(tmp_path, text):
    path = tmp_path / "curve.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StitchError, match=r"curve\.jsonl holds no rows"):
        read_curve(path)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(StitchError, match=r"No curve at .*'stitchable sweep'"):
        read_curve(tmp_path / "curve.jsonl")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "curve.jsonl"
    path.write_bytes(b"\x80\x81\xff")
    with pytest.raises(StitchError, match=r"curve\.jsonl"):
        read_curve(path)

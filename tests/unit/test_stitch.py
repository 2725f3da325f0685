import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.stitch import Segment, Stitch, check_anchor_name

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,5}", fullmatch=True)
LENGTHS = st.integers(1, 20)


@st.composite
def stitches(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=5))
    names = [name for index, name in enumerate(names) if index == 0 or name != names[index - 1]]
    starts = [0, *draw(st.lists(st.integers(0, 40), min_size=len(names) - 1, max_size=len(names) - 1))]
    return [(name, start, start + draw(LENGTHS)) for name, start in zip(names, starts, strict=True)]


def test_needs_no_torch():
    code = "import sys, stitchable.stitch, stitchable.space.build; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@given(triples=stitches())
def test_text_id_reads_back(triples):
    stitch = Stitch(tuple(Segment(*triple) for triple in triples))
    assert str(stitch) == "+".join(f"{name}[{start}:{stop}]" for name, start, stop in triples)
    assert Stitch.parse(str(stitch)) == stitch
    assert Stitch.parse(f"  {str(stitch).replace('+', ' + ')} ") == stitch
    assert stitch.depth == sum(stop - start for _, start, stop in triples)
    assert stitch.anchors == tuple(name for name, _, _ in triples)
    assert [(a.anchor, b.anchor) for a, b in stitch.joints] == list(
        zip(stitch.anchors[:-1], stitch.anchors[1:], strict=True)
    )


def test_equal_stitches_are_one_key():
    assert len({Stitch.parse("a[0:1]+b[1:2]"), Stitch((Segment("a", 0, 1), Segment("b", 1, 2)))}) == 1


def test_coming_back_to_an_anchor_is_allowed():
    assert Stitch.parse("a[0:2]+b[1:2]+a[0:3]").anchors == ("a", "b", "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not name[start:stop]"),
        ("a", "'a' is not name[start:stop]"),
        ("a[0:3]+", "'' is not name[start:stop]"),
        ("a[0-3]", "'a[0-3]' is not name[start:stop]"),
        ("a[0:3] b[3:6]", "is not name[start:stop]"),
        ("a.b[0:3]", "'a.b[0:3]' is not name[start:stop]"),
        ("a[-1:3]", "'a[-1:3]' is not name[start:stop]"),
        ("a[0:0]", "Segment a[0:0] runs no block"),
        ("a[0:3]+b[4:2]", "Segment b[4:2] runs no block"),
        ("a[1:3]", "starts at block 1"),
        ("a[0:1]+a[1:3]", "joins a to itself"),
    ],
)
def test_what_does_not_read_is_refused(text, message):
    with pytest.raises(StitchError) as error:
        Stitch.parse(text)
    assert message in str(error.value)


def test_a_stitch_runs_something():
    with pytest.raises(StitchError, match="at least one segment"):
        Stitch(())


@pytest.mark.parametrize("name", ["deit_tiny", "r-18", "2x", "_"])
def test_good_names(name):
    assert check_anchor_name(name) == name


@pytest.mark.parametrize(
    ("name", "offer"), [("deit.tiny", "deit_tiny"), ("a b", "a_b"), ("", "anchor"), ("-a", "a"), ("a\n", "a")]
)
def test_bad_names_are_offered_a_good_one(name, offer):
    with pytest.raises(StitchError, match=f"for example '{offer}'"):
        check_anchor_name(name)

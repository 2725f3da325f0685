import pytest

from stitchable.errors import StitchError
from stitchable.training.samplers.schedule import ScheduleSampler

TEXT = """# warm up with the anchors
c a

  a[0:2]+b[1:4]
# the end
b[0:4]  c
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "steps.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_line_is_a_step_and_the_end_begins_again(space, file):
    sampler = ScheduleSampler.from_file(space, file(TEXT))
    lines = [["c[0:4]", "a[0:4]"], ["a[0:2]+b[1:4]"], ["c[0:4]", "b[0:4]"]]  # the dearest first
    for step in (0, 1, 2, 3, 7, 5, 3 * 10**12 + 1):
        assert [str(stitch) for stitch in sampler(step)] == lines[step % 3]
        assert sampler(step, rank=3) == sampler(step)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\na[0:2]+b[3:4]\n", r"steps\.txt, line 3: Stitch a\[0:2\]\+b\[3:4\] is not in the space"),
        ("# note\n\nd[0:4]\n", r"steps\.txt, line 3: .*there is no anchor 'd'"),
        ("a\nb, c\n", r"steps\.txt, line 2: 'b,' is no anchor, and no stitch id such as .*Nearest: b\."),
        ("a\nb[0-4]\n", r"steps\.txt, line 2: Stitch id 'b\[0-4\]' does not read"),
        ("a b a\n", r"steps\.txt, line 1: A step trains one or more different stitches; got a\[0:4\] b"),
        ("# nothing\n\n", r"The schedule .*steps\.txt has no step\. Write one line per step"),
        (b"\xff\xfe\x00", r"The schedule .*steps\.txt does not read: "),
    ],
)
def test_a_file_that_is_wrong_is_named_with_its_line(space, file, text, message):
    with pytest.raises(StitchError, match=message) as error:
        ScheduleSampler.from_file(space, file(text))
    assert "\n" not in str(error.value)


def test_the_mark_that_some_editors_begin_a_file_with_is_no_part_of_it(space, file):
    sampler = ScheduleSampler.from_file(space, file(b"\xef\xbb\xbfb\r\na\r\n"))
    assert [str(stitch) for step in (0, 1) for stitch in sampler(step)] == ["b[0:4]", "a[0:4]"]


def test_a_file_that_is_not_there(space, tmp_path):
    with pytest.raises(StitchError, match=r"The schedule .*none\.txt does not read"):
        ScheduleSampler.from_file(space, tmp_path / "none.txt")


@pytest.mark.parametrize(("steps", "message"), [([], "has no step"), ([["a"], []], "got nothing")])
def test_a_list_that_says_nothing(space, steps, message):
    with pytest.raises(StitchError, match=message):
        ScheduleSampler(space, steps)

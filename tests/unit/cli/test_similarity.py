"""``stitchable similarity`` from end to end on the digits, and what it says to mistakes."""

import json

from PIL import Image

from stitchable.anchors.store import save_anchor

KEPT = ("--device", "cpu", "--data.val", "digits:val")
FEW = ("--images", 60, "--batch_size", 20, "--groups", 3, "--fit_images", 60, "--test_images", 40)


def test_the_whole_command(run, refused, digit_models, tmp_path):
    out = tmp_path / "out"
    words = ["--out", out, *KEPT, "--data.train", "digits:train", *FEW]
    text = run("similarity", *digit_models, *words, "--measures", "cka,svcca")
    found = json.loads((out / "similarity.json").read_text())
    assert found["measures"] == ["cka", "svcca"]
    lines = text.splitlines()
    assert lines[0] == "small into medium: for each cut the most similar one by cka"
    assert lines[1].split() == ["joint", "cka", "svcca", "R²", "of", "fit", "top-1", "drop"]
    chosen = [each for each in found["joints"] if each["chosen"]]
    for line, each in zip(lines[2:5], chosen, strict=False):
        assert line.split()[:4] == [
            each["joint"],
            *(f"{each['similarity'][name]:.3f}" for name in ("cka", "svcca")),
            f"{each['r2']:.3f}",
        ]
        assert f"{each['top1']:.2f} %" in line
    others = [each["top1"] for each in found["joints"] if not each["chosen"]]
    assert f"3 others {sum(others) / 3:.2f} %" in text
    spearman = {each["measure"]: each.get("spearman") for each in found["correlations"]}
    assert list(spearman) == ["cka", "svcca", "fit_r2"]
    for name, each in spearman.items():
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert (f"{each['value']:.2f} (" if each else "none") in line.replace("−", "-")
    assert lines[-3:] == [
        f"page     {out}/similarity.html",
        f"numbers  {out}/similarity.json, {out}/similarity.csv",
        f"figures  {out}/maps",
    ]
    for kind in ("cka", "svcca"):
        with Image.open(out / "maps" / f"{kind}_small_medium.png") as image:
            image.verify()
    assert "already holds similarities" in refused("similarity", *digit_models, *words)
    alone = run(
        "similarity",
        *digit_models,
        "--out",
        out,
        "--overwrite",
        *KEPT,
        *FEW,
        "--test",
        "none",
        "--measures",
        "r2",
    )
    assert "they do not tell which stitches are accurate" in alone
    assert "top-1" not in alone


def test_mistakes_are_told_in_a_line(refused, digit_models, tiny_vit, tmp_path):
    out = tmp_path / "out"
    small = digit_models[0]

    def line(*words, kept=KEPT):
        told = refused("similarity", *words, "--out", out, *kept, *FEW)
        assert not out.exists()
        return told

    assert line(small) == "Got 1 anchor. Similarity is of two or more: stitchable similarity A B."
    assert "Anchor names must differ; got small, small" in line(small, small)
    assert "Unknown measure 'cca2' in --measures. Nearest: cca" in line(*digit_models, "--measures", "cca2")
    assert "expected one of ['pooled', 'pixels', 'flattened']" in line(*digit_models, "--rows", "pixel")
    assert "--test all cannot be done: no training images are named" in line(*digit_models, "--test", "all")
    assert "Unknown argument '--image'. Nearest: --images" in line(*digit_models, "--image", 3)
    assert "No images named. Give --data.val" in line(*digit_models, kept=KEPT[:2])
    assert "inputs names no anchor 'nobody'" in line(*digit_models, "--inputs", "nobody")
    save_anchor(tiny_vit("wide", 6, side=16, num_classes=10), tmp_path / "wide")
    assert "small and wide take different images" in line(small, tmp_path / "wide")


def test_folders_that_are_in_use(refused, digit_models, tmp_path):
    (tmp_path / "mine").mkdir()
    note = tmp_path / "mine" / "thesis.txt"
    note.write_text("all of it")
    for place, message in (
        (tmp_path / "mine", "is not empty and holds no similarities. Name a new folder."),
        (note, "thesis.txt is a file. Name a folder"),
        (note / "below", "thesis.txt is a file. Name a folder"),
    ):
        for more in ((), ("--overwrite",)):
            assert message in refused("similarity", *digit_models, "--out", place, *KEPT, *FEW, *more)
    assert note.read_text() == "all of it"

import json

import pytest


@pytest.fixture
def words(digit_models, tmp_path):
    data = ["--data.train", "digits:train", "--data.val", "digits:val"]
    return ["finetune", digit_models[0], *data, "--augment", "none", "--out", tmp_path / "out"]


def test_finetune_prints_its_epochs_and_what_it_kept(run, words, tmp_path):
    printed = run(*words, "--epochs", "2", "--batch_size", "100", "--head_lr", "null").splitlines()
    records = [json.loads(line) for line in (tmp_path / "out" / "finetune.jsonl").read_text().splitlines()]
    assert len(printed) == 5
    for number, (line, record) in enumerate(zip(printed, records, strict=False), start=1):
        assert line.startswith(f"epoch  {number} ({record['trained']})  loss {record['loss']:.3f}")
        assert f"{record['top1']:.2f} %" in line
    best = max(records, key=lambda record: (record["top1"], -record["val_loss"]))
    assert printed[2].startswith(f"best    epoch {best['epoch'] + 1}: {best['top1']:.2f} % of 797 held-out")
    assert printed[3] == f"anchor  {tmp_path / 'out'}"
    assert "stitchable fit --anchors" in printed[4]


def test_a_configuration_file_gives_the_keys(run, words, tmp_path):
    given = tmp_path / "mine.yaml"
    given.write_text("epochs: 3\nlr: 0.002\nhead_epochs: 2\nmean: 0.25\nstd: [0.5]\ndata:\n  workers: 0\n")
    run(*words, "--config", given, "--epochs", "2")
    text = (tmp_path / "out" / "finetune.yaml").read_text()
    for line in ("epochs: 2", "lr: 0.002", "head_epochs: 2", "mean: 0.25", "train: digits:train"):
        assert line in text
    # What was written is a configuration itself.
    run(*words[:-1], tmp_path / "again", "--config", tmp_path / "out" / "finetune.yaml")
    assert (tmp_path / "again" / "finetune.yaml").read_text() == text
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "again")]
    assert weights[0] == weights[1]


def test_mistakes_are_one_line(refused, words, tmp_path):
    assert "Unknown argument '--epoch'. Nearest: --epochs" in refused(*words, "--epoch", "3")
    assert refused(*words, "--epochs", "0") == "finetune.epochs must be at least 1; got 0."
    assert "finetune.head_epochs must be 0 to the 2 epochs; got 3." in refused(
        *words, "--epochs", "2", "--head_epochs", "3"
    )
    assert 'Key "augment": expected one of' in refused(*words, "--augment", "mirror")
    assert "Input mean has 2 values for 1 channels" in refused(*words, "--mean", "[0.1,0.2]")
    assert "arguments are required: --out" in refused("finetune", "resnet18@random")
    assert "No folder nowhere/at" in refused("finetune", "nowhere/at", *words[2:])
    assert "mirrors images" in refused(*words, "--augment", "flip")
    assert not (tmp_path / "out").exists()

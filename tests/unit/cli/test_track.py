import pytest

TRAINING = ("--train.batch_size", 500, "--train.augment", "none", "--train.epochs", 1, "--device", "cpu")


def test_a_run_remembers_who_follows_it(run, fitted):
    pytest.importorskip("tensorboard")
    run("train", fitted, *TRAINING, "--track.to", "tensorboard", "--track.every", 1)
    run("train", fitted, *TRAINING, "--overwrite")
    folder = fitted / "tracking" / "tensorboard"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]  # each training is one of its own


def test_an_unknown_library_is_refused(refused, fitted):
    said = refused("train", fitted, "--track.to", "tensorbord")
    assert said == "Unknown track.to 'tensorbord'. Nearest: tensorboard."

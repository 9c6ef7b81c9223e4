"""A user's own pictures: every layout, and every way to get it wrong."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from tinybench.core.errors import DataError
from tinybench.data import images, splits

FLAT = {"cat": 10, "dog": 10}


def spoil(folder, count=1):
    for path in sorted(folder.rglob("*.png"))[:count]:
        path.write_bytes(b"this is text")


def test_flat_folder_is_split_three_ways(make_folder, load):
    data = load(f"folder:{make_folder(FLAT)}")
    assert [len(part) for part in data.splits.values()] == [14, 2, 4]
    assert data.class_names == ("cat", "dog")
    assert data.shape == (8, 8, 3)
    assert data.warnings == ()


def test_pixels_are_those_of_the_files(make_folder, load):
    root = make_folder(FLAT)
    data = load(f"folder:{root}")
    pool = data.train.pool
    files = sorted(root.rglob("*.png"))
    assert np.array_equal(pool.images, np.stack([np.asarray(Image.open(path)) for path in files]))
    assert pool.labels.tolist() == [0] * 10 + [1] * 10


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_three_official_splits_are_used_as_they_are(make_folder, load, name):
    counts = {f"{split}/{label}": count for split, count in (("train", 6), (name, 3), ("test", 2)) for label in FLAT}
    data = load(f"folder:{make_folder(counts)}")
    assert [len(part) for part in data.splits.values()] == [12, 6, 4]
    assert data.warnings == ()


def test_validation_without_test_is_held_out_and_it_says_so(make_folder, load):
    data = load(f"folder:{make_folder({f'{split}/{label}': 10 for split in ('train', 'val') for label in FLAT})}")
    assert [len(part) for part in data.splits.values()] == [18, 2, 20]
    assert any("val/ but no test/" in line for line in data.warnings)


def test_train_and_test_split_validation_off(make_folder, load):
    data = load(f"folder:{make_folder({f'{split}/{label}': 10 for split in ('train', 'test') for label in FLAT})}")
    assert [len(part) for part in data.splits.values()] == [18, 2, 20]
    assert data.warnings == ()


def test_class_called_train_is_a_class(make_folder, load):
    assert load(f"folder:{make_folder({'train': 5, 'bus': 5})}").class_names == ("bus", "train")


def test_different_sizes_are_fit(make_folder, load, encode):
    root = make_folder(FLAT)
    (root / "cat/000.png").write_bytes(encode(np.full((30, 20, 3), 77, np.uint8)))
    data = load(f"folder:{root}", image_size=12)
    assert data.shape == (12, 12, 3)
    assert (data.train.pool.images[0] == 77).all()
    assert any("images are resized to 12 x 12 pixels by `data.resize`" in line for line in data.warnings)


@pytest.mark.parametrize("shape", [(8, 12, 3), (12, 8, 3)])
def test_images_that_are_no_squares_are_resized(make_folder, load, encode, shape):
    root = make_folder(FLAT)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for path in root.rglob("*.png"):
        path.write_bytes(encode(pixels))
    for method in images.RESIZE_METHODS:
        data = load(f"folder:{root}", image_size=16, resize=method)
        np.testing.assert_array_equal(data.train.images(slice(1))[0], images.resize(pixels, (16, 16), method))
        assert data.resize == data.train.pool.resize == method


def test_what_identifies_the_images_does_not_depend_on_how_they_are_resized(make_folder, load, encode):
    root = make_folder(FLAT)
    generator = np.random.default_rng(0)
    for index, path in enumerate(sorted(root.rglob("*.png"))):
        path.write_bytes(encode(generator.integers(0, 256, (20 + index, 30, 3), np.uint8)))
    loaded = [
        load(f"folder:{root}", image_size=side, resize=method) for side in (12, 16) for method in images.RESIZE_METHODS
    ]
    assert len({(data.fingerprint, data.split_hash, splits.hash_splits({"test": data.test})) for data in loaded}) == 1
    assert len({data.train.images().tobytes() for data in loaded}) == len(loaded)
    (root / "cat/000.png").write_bytes(encode(np.zeros((20, 30, 3), np.uint8)))
    assert load(f"folder:{root}").fingerprint != loaded[0].fingerprint


def test_gray_pictures_have_three_channels(tmp_path, load, encode):
    for label in FLAT:
        (tmp_path / label).mkdir()
        for index in range(4):
            (tmp_path / label / f"{index}.bmp").write_bytes(encode(np.full((6, 6), index * 9, np.uint8), "BMP"))
    data = load(f"folder:{tmp_path}")
    assert data.shape == (6, 6, 3)
    assert data.train.pool.images[1].max() == data.train.pool.images[1].min() == 9


def test_other_files_are_ignored(make_folder, load):
    root = make_folder(FLAT)
    for name in (".DS_Store", "Thumbs.db", "notes.txt", "._000.png"):
        (root / "cat" / name).write_bytes(b"\0")
    (root / ".git").mkdir()
    (root / "readme.png.txt").write_text("x")
    data = load(f"folder:{root}")
    assert sum(len(part) for part in data.splits.values()) == 20


def test_pictures_of_other_formats_are_counted(make_folder, load):
    root = make_folder(FLAT)
    for index in range(3):
        (root / "cat" / f"{index}.gif").write_bytes(b"GIF89a")
    data = load(f"folder:{root}")
    assert data.warnings == ("Not used: 3 files that are not JPEG, PNG, BMP, WebP or PPM images (3 .gif).",)
    assert data.unused == {"files that are not JPEG, PNG, BMP, WebP or PPM images (3 .gif)": 3}


def test_links_to_files_and_nested_folders(make_folder, load):
    root = make_folder(FLAT)
    (root / "cat/deeper").mkdir()
    shutil.move(root / "cat/000.png", root / "cat/deeper/0.png")
    (root / "dog/linked.png").symlink_to(root / "dog/001.png")
    (root / "dog/circle").symlink_to(root)
    data = load(f"folder:{root}")
    assert np.bincount(data.train.pool.labels)[0] == 10
    assert "dog" in data.class_names


def test_corrupt_pictures_are_named_and_stop_the_run(make_folder, load):
    root = make_folder(FLAT)
    spoil(root, 7)
    (root / "dog/text.jpg").write_text("hello")
    with pytest.raises(
        DataError, match=r"8 corrupt image\(s\): cat/000\.png \(not a .*\).*cat/004\.png .* and 3 more"
    ) as caught:
        load(f"folder:{root}")
    assert "`--data.skip_corrupt true`" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_corrupt_pictures_are_left_out_when_asked(make_folder, load):
    root = make_folder(FLAT)
    spoil(root, 2)
    whole = [np.asarray(Image.open(path)) for path in sorted(root.rglob("*.png"))[2:]]
    for _ in range(2):
        data = load(f"folder:{root}", skip_corrupt=True)
        assert np.array_equal(data.train.pool.images, np.stack(whole))
        assert np.bincount(data.train.pool.labels).tolist() == [8, 10]
        assert "Left out 2 corrupt image(s): cat/000.png (not a" in data.warnings[0]


def test_dangling_link_is_corrupt(make_folder, load):
    root = make_folder(FLAT)
    (root / "cat/gone.png").symlink_to(root / "nowhere.png")
    with pytest.raises(DataError, match=r"1 corrupt image\(s\): cat/gone\.png \(cannot be opened"):
        load(f"folder:{root}")


def test_imbalance_is_reported(make_folder, load):
    data = load(f"folder:{make_folder({'cat': 13, 'dog': 4})}")
    assert "out of balance: 'cat' has 13 training images, 'dog' has 4" in data.warnings[0]
    assert load(f"folder:{make_folder({'cat': 12, 'dog': 4}, name='even')}").warnings == ()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "There is no folder"),
        ({"cat": 0, "dog": 0}, "No images in .* for cat, dog: expected one folder per class"),
        ({"cat": 5}, "one class, 'cat': at least two"),
        ({"cat": 5, "dog": 0}, "No images in .* for dog"),
        ({"cat": 9, "dog": 1}, "'dog' has too few training images"),
        ({"train/cat": 3, "train/dog": 3, "val/cat": 3, "val/cow": 3}, "differ: cow, dog"),
        ({"train/cat": 3, "train/dog": 3, "val/cat": 3, "valid/cat": 3}, "both val/ and valid/"),
        ({"val/cat": 3, "val/dog": 3}, "no train/"),
        ({"train/cat": 3, "train/dog": 3, "test/cat": 3, "test/dog": 0}, "No images in .*test.* for dog"),
    ],
)
def test_wrong_folders_get_one_line(make_folder, load, counts, message):
    with pytest.raises(DataError, match=message) as caught:
        load(f"folder:{make_folder(counts)}")
    assert "\n" not in str(caught.value)


def test_empty_folder_and_pictures_without_classes(tmp_path, load, encode):
    with pytest.raises(DataError, match="no class folder: expected one folder per class"):
        load(f"folder:{tmp_path}")
    (tmp_path / "a.png").write_bytes(encode(np.zeros((4, 4), np.uint8)))
    with pytest.raises(DataError, match="expected one folder per class"):
        load(f"folder:{tmp_path}")
    with pytest.raises(DataError, match="There is no folder ''"):
        load("folder:")


def test_folder_beside_train_is_mentioned(make_folder, load):
    counts = {f"{split}/{label}": 4 for split in ("train", "test") for label in FLAT} | {"unlabelled": 2}
    data = load(f"folder:{make_folder(counts)}")
    assert data.warnings == (
        "Folders beside train/ are left out: unlabelled.",
        "Not used: 2 images outside the class folders.",
    )


def test_changed_folder_is_read_again_and_fingerprint_is_of_the_content(make_folder, load):
    one, two = make_folder(FLAT, name="one"), make_folder(FLAT, name="two")
    before = load(f"folder:{one}")
    assert before.fingerprint == load(f"folder:{two}").fingerprint
    os.utime(one / "cat/000.png")
    assert load(f"folder:{one}").fingerprint == before.fingerprint
    shutil.copy(one / "dog/000.png", one / "cat/000.png")
    after = load(f"folder:{one}")
    assert after.fingerprint != before.fingerprint
    assert np.array_equal(after.train.pool.images[0], after.train.pool.images[10])


def test_home_is_understood(make_folder, load, monkeypatch):
    root = make_folder(FLAT)
    monkeypatch.setenv("HOME", str(root.parent))
    assert load("folder:~/pictures").class_names == ("cat", "dog")

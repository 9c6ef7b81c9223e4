"""Any tree of folders gives a data set whose counts can be counted again, or one line that says why not."""

from __future__ import annotations

import io
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data.split_names import recognize_split


def _encode(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


PNG, JPEG, GIF = map(_encode, ("PNG", "JPEG", "GIF"))
IMAGES = {"a.png": PNG, "b.jfif": JPEG, "c": PNG, "1.JPG": JPEG, "d e.dat": PNG, "\xe9.png": PNG, "f.png.txt": PNG}
CORRUPT = {"broken.jpg": b"text", "cut.png": PNG[:40]}
OTHERS = {"notes.txt": b"text", "g.gif": GIF, "empty": b"", "labels.csv": b"id,label\nb,x\n", "t.csv": b"\0"}
SYSTEM = {"Thumbs.db": PNG, "._a.png": PNG, "desktop.ini": b"x"}
FILES = IMAGES | CORRUPT | OTHERS | SYSTEM
SYSTEM_FOLDERS = ("@eaDir", "__MACOSX", ".ipynb_checkpoints", "lost+found")
CLASSES = ("cat", "dog", "1", "2", "10", "caf\u00e9", "cafe\u0301", "a b", os.fsdecode(b"\xb9\xb7"), "x=y,z")
SPLITS = ("train", "Training", "test", "Testing", "val", "valid", "dev", "seg_train", "extra", "data")

files = st.dictionaries(st.sampled_from(sorted(FILES)), st.none(), max_size=5)
loose = st.one_of(st.just({}), st.dictionaries(st.sampled_from(sorted(OTHERS)), st.none(), max_size=2), files)
inner = st.dictionaries(st.sampled_from((*SYSTEM_FOLDERS, "deep")), files, max_size=1)
# Mostly full classes, so that trees of several splits are often complete
full = st.sampled_from((True, True, True, False)).flatmap(
    lambda is_full: st.just(dict.fromkeys(("a.png", "b.jfif", "c", "1.JPG"))) if is_full else files
)
one_class = st.builds(lambda own, below: own | below, full, inner)
class_names = st.sampled_from((CLASSES[:2], CLASSES[:4], CLASSES)).flatmap(
    lambda names: st.lists(st.sampled_from(names), min_size=2, max_size=4, unique=True)
)


@st.composite
def class_folders(draw, names=None):
    names = draw(class_names) if names is None else names
    return draw(loose) | {name: draw(one_class) for name in names}


@st.composite
def trees(draw):
    shape = draw(st.sampled_from(("classes", "splits", "splits", "wrapped", "any")))
    if shape == "classes":
        return draw(class_folders())
    if shape == "wrapped":
        return {draw(st.sampled_from(SPLITS)): draw(class_folders())}
    names = draw(class_names)
    usual = st.sampled_from(
        (("train", "test"), ("Training", "Testing"), ("train", "val"), ("seg_train", "dev", "test"))
    )
    any_splits = st.lists(st.sampled_from(SPLITS), min_size=1, max_size=4, unique=True)
    splits = draw(usual | any_splits if shape == "splits" else any_splits)
    same = class_folders(names) if shape == "splits" else st.one_of(class_folders(), files)
    return draw(loose) | {split: draw(same) for split in splits}


def make(root: Path, tree: dict) -> None:
    root.mkdir()
    for name, content in tree.items():
        if content is None:
            (root / name).write_bytes(FILES[name])
        else:
            make(root / name, content)


def count_images(tree: dict, path: tuple[str, ...] = ()) -> Counter:
    """Number of readable images by the path of their folder, by what the tree was made of."""
    found: Counter = Counter()
    for name, content in tree.items():
        if content is None:
            found[path] += name in IMAGES
        elif name not in SYSTEM_FOLDERS:
            found += count_images(content, (*path, name))
    return found


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees())
def test_counts_by_class_are_those_of_an_independent_count(tree, tmp_path_factory, load):
    root = tmp_path_factory.mktemp("tree") / "pictures"
    make(root, tree)
    try:
        data = load(f"folder:{root}", skip_corrupt=True, image_size=8)
        problem = None
    except DataError as error:
        problem = str(error)
    finally:
        shutil.rmtree(root)
    if problem is not None:
        event(f"refused: {problem.replace(str(root), '')[:30]}")
        assert len(problem.splitlines()) == 1
        return
    event("loaded")
    expected = count_images(tree)
    labels = np.concatenate([split.labels for split in data.splits.values()])
    by_class = dict(zip(data.class_names, np.bincount(labels, minlength=len(data.class_names)).tolist(), strict=True))
    assert min(by_class.values()) > 0
    unused = sum(count for reason, count in data.unused.items() if reason.startswith("images "))
    # Corrupt files that lie outside of the class folders are unused images, too
    assert sum(expected.values()) - unused <= sum(by_class.values()) <= sum(expected.values())
    if any("has the images in column" in line for line in data.warnings):
        return
    again: Counter = Counter()
    for path, count in expected.items():
        names = [clean_name(name) for name in path]
        inside = [name for name in names if name in by_class]
        if inside:
            again[inside[0] if len(inside) == 1 or not recognize_split(inside[0]) else inside[1]] += count
    assert all(by_class[name] <= again[name] for name in by_class)
    if not unused:
        event("all images are used")
        assert by_class == dict(again)

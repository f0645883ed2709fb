"""A folder of one's own images: what is read from it, and what is said of every damage."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tools import problem

from helpers import own_images

RED, GREEN = (200, 30, 20), (20, 160, 40)


def picture(number: int, mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Some picture; each number gives another."""
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def fill(folder: Path, count: int = 6, start: int = 0) -> Path:
    folder.mkdir(parents=True)
    for number in range(start, start + count):
        picture(number).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    """Two classes of six images each, of which one is for the test."""
    fill(tmp_path / "mine" / "cat")
    fill(tmp_path / "mine" / "dog", start=100)
    return tmp_path / "mine"


def listing(folder: Path) -> list[tuple]:
    return sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_a_folder_becomes_two_sets_like_the_bundled_ones_and_stays_as_it_is(folder):
    before = listing(folder)
    mine = own_images.load(folder)
    assert listing(folder) == before
    for part, count in ((mine.train, 10), (mine.test, 2)):
        assert part.images.shape == (count, 3, 32, 32) and part.images.dtype == torch.uint8
        assert part.images.is_contiguous() and part.labels.dtype == torch.int64 and part.classes == ("cat", "dog")
        assert part.labels.bincount().tolist() == [count // 2] * 2
    assert mine.counts == {"cat": (5, 1), "dog": (5, 1)} and not mine.left_out and not mine.changed
    assert "cat 5 + 1, dog 5 + 1" in mine.sentence


def test_the_parts_are_the_same_each_time_and_share_no_picture(folder):
    one, again, other = own_images.load(folder), own_images.load(folder), own_images.load(folder, seed=1)
    assert torch.equal(one.train.images, again.train.images) and torch.equal(one.test.labels, again.test.labels)
    assert not torch.equal(one.test.images, other.test.images)
    seen = {image.numpy().tobytes() for part in (one.train, one.test) for image in part.images}
    assert len(seen) == 12


def test_a_new_file_moves_hardly_any_other(folder):
    before = own_images.load(folder)
    picture(50).save(folder / "cat" / "new.png")
    after = own_images.load(folder)
    tests = [{image.numpy().tobytes() for image in found.test.images} for found in (before, after)]
    assert len(tests[0] & tests[1]) >= 1


def test_the_middle_is_cut_out_and_resized(folder):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = RED
    for number in range(5):
        wide[number, 59] = GREEN  # each file differs, outside of the middle
        Image.fromarray(wide).resize((60 + number, 20)).save(folder / "cat" / f"wide{number}.png")
    mine = own_images.load(folder, size=(10, 10))
    assert any((image.float().mean((1, 2)) - torch.tensor(RED)).abs().max() < 8 for image in mine.train.images)
    assert mine.train.images.shape[1:] == (3, 10, 10)


def heic(path):
    path.write_bytes(struct.pack(">I", 24) + b"ftypheic" + b"\0" * 40)


def cut_short(path):
    picture(7).save(path, "JPEG", quality=95)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bomb(path):
    """A PNG that says it is 60,000 x 60,000."""
    picture(1).save(path, "PNG")
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)


def link(path):
    os.symlink(path.parent / "gone.jpg", path)


LEFT_OUT = {
    "empty.jpg": (lambda path: path.write_bytes(b""), "an empty file"),
    "text.jpg": (lambda path: path.write_text("no image"), "not an image that Pillow reads"),
    "photo.HEIC": (heic, "save it as JPEG"),
    "drawing.svg": (lambda path: path.write_text("<svg/>"), "save it as PNG"),
    "film.mp4": (lambda path: path.write_bytes(b"film"), "a film"),
    "all.zip": (lambda path: path.write_bytes(b"PK"), "unpack it"),
    "raw.nef": (lambda path: path.write_bytes(b"raw"), "raw file"),
    "short.jpg": (cut_short, "broken or cut short"),
    "giant.png": (bomb, "pixels"),
    "link.jpg": (link, "not a file"),
    "holidays": (lambda path: path.mkdir(), "a folder inside a class"),
    "copy.png": (lambda path: picture(0).save(path), "the same pixels as cat/000.png"),
    "page.eps": (lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "save it as PNG"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_cannot_be_used_is_left_out_with_its_reason(folder, name):
    make, reason = LEFT_OUT[name]
    make(folder / "cat" / name)
    mine = own_images.load(folder)
    ((file, why),) = mine.left_out
    assert file == f"cat/{name}" and reason in why
    assert f"cat/{name} ({why})" in mine.sentence
    assert len(mine.train) + len(mine.test) == 12


def test_many_that_are_left_out_are_counted(folder):
    for number in range(9):
        (folder / "cat" / f"{number}.txt").write_text("no")
    mine = own_images.load(folder)
    assert len(mine.left_out) == 9 and "and 4 more, see left_out" in mine.sentence and len(mine.sentence) < 900


@pytest.mark.parametrize("name", [".DS_Store", "._000.png", "Thumbs.db", "desktop.ini"])
def test_hidden_files_are_passed_over_without_a_word(folder, name):
    for place in (folder, folder / "cat"):
        (place / name).write_bytes(b"\0\0\0\1Bud1")
        (place / ".ipynb_checkpoints").mkdir(exist_ok=True)
        picture(60).save(place / ".ipynb_checkpoints" / "000-checkpoint.png")
    mine = own_images.load(folder)
    assert mine.left_out == () and mine.train.classes == ("cat", "dog") and len(mine.train) == 10


def rotated(path):
    exif = Image.Exif()
    exif[0x0112] = 6  # as a phone held upright writes it
    tall = np.zeros((30, 40, 3), np.uint8)
    tall[:, :20] = RED  # left half, which is the upper half once turned
    Image.fromarray(tall).save(path, exif=exif)


def moving(path):
    picture(3).save(path, "GIF", save_all=True, append_images=[picture(4)], duration=80)


def deep(path):
    grey = np.linspace(0, 60_000, 1200).astype(np.uint16).reshape(30, 40)
    Image.fromarray(grey).save(path)


CHANGED = {
    "grey.png": (lambda path: picture(1, "L").save(path), "grey"),
    "indexed.png": (lambda path: picture(2, "P").save(path), "indexed colours"),
    "cmyk.jpg": (lambda path: picture(3, "CMYK").save(path), "CMYK"),
    "rgba.png": (lambda path: picture(70, "RGBA").save(path), "transparent (on white)"),
    "grey_alpha.png": (lambda path: picture(5, "LA").save(path), "transparent (on white)"),
    "fax.tiff": (lambda path: picture(6, "1").save(path), "black and white"),
    "moving.gif": (moving, "moving ones (the first picture)"),
    "turned.png": (rotated, "turned as the camera says"),
    "deep.png": (deep, "grey of 16 bit or more"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_other_kinds_become_rgb_and_it_says_so(folder, name):
    make, what = CHANGED[name]
    make(folder / "cat" / name)
    mine = own_images.load(folder)
    assert not mine.left_out and dict(mine.changed)[what] == 1 and f"1 {what}" in mine.sentence
    assert len(mine.train) + len(mine.test) == 13


def only(folder: Path, make) -> torch.Tensor:
    """The image (3, 32, 32) that a file becomes."""
    before = {image.numpy().tobytes() for part in parts(folder) for image in part.images}
    make(folder / "cat" / "one.png")
    (new,) = [image for part in parts(folder) for image in part.images if image.numpy().tobytes() not in before]
    return new


def parts(folder):
    mine = own_images.load(folder)
    return mine.train, mine.test


def test_a_photograph_stands_upright(folder):
    upper, lower = only(folder, rotated).float().mean(0).split(16)
    assert upper.mean() > 60 > lower.mean() + 40


def test_what_is_transparent_lies_on_white(folder):
    clear = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    assert only(folder, clear.save).min() == 255


def test_sixteen_bits_are_not_cut_off(folder):
    image = only(folder, deep)
    assert image.min() < 20 and image.max() > 235 and len(image.unique()) > 100


def test_a_large_photograph_is_read(folder):
    image = only(folder, lambda path: Image.new("RGB", (6000, 4000), GREEN).save(path.with_suffix(".jpg"), quality=90))
    assert (image.float().mean((1, 2)) - torch.tensor(GREEN)).abs().max() < 4


@pytest.mark.parametrize("name", ["Ärger & <b>", "🐈", "a b", "猫", "q'uote\"", "-rf", "..x", "a\nb"])
def test_names_with_odd_characters(folder, name):
    fill(folder / name, start=200)
    mine = own_images.load(folder)
    if name.startswith("."):
        assert len(mine.train.classes) == 2
    else:
        assert len(mine.train.classes) == 3 and all(one.isprintable() for one in mine.train.classes)
        assert mine.sentence.encode("utf-8")


def test_a_name_that_is_no_text(folder):
    try:
        fill(folder / os.fsdecode(b"caf\xe9"), start=200)
    except OSError:
        pytest.skip("this system takes text alone")
    assert "caf\ufffd" in own_images.load(folder).train.classes


def loose(folder):
    fill(folder)


def one_class(folder):
    fill(folder / "cat")


def too_few(folder):
    fill(folder / "cat")
    fill(folder / "dog", 3, start=100)
    (folder / "dog" / "notes.txt").write_text("no")


def empty_class(folder):
    fill(folder / "cat")
    (folder / "dog").mkdir()


def too_many(folder):
    for number in range(own_images.MOST_CLASSES + 1):
        (folder / f"{number}").mkdir(parents=True)


DAMAGED = {
    "no such folder": (lambda folder: None, "There is no folder"),
    "empty": (lambda folder: folder.mkdir(), "no sub-folder. Make one for each class"),
    "a file": (lambda folder: folder.write_text("x"), "which is a file"),
    "loose": (loose, "6 images, but no sub-folder"),
    "one class": (one_class, "needs two classes at least"),
    "too few": (too_few, "'dog' has 3 usable images; give each 5 or more"),
    "empty class": (empty_class, "'dog' has 0 usable images"),
    "too many classes": (too_many, "101 sub-folders; allowed are 2 to 100"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_folder_that_does_not_serve_is_refused_in_words(tmp_path, name):
    make, message = DAMAGED[name]
    make(tmp_path / "mine")
    said = problem(lambda: own_images.load(tmp_path / "mine"))
    assert message in said and len(said) < 700
    assert name != "too few" or "dog/notes.txt (not an image that Pillow reads)" in said


def test_too_many_files_are_refused_before_they_are_read(folder, monkeypatch):
    monkeypatch.setattr(own_images, "MOST_IMAGES", 11)
    assert "holds 12 files; allowed are at most 11 of this size" in problem(lambda: own_images.load(folder))
    monkeypatch.setattr(own_images, "MOST_BYTES", 12 * 3 * 32 * 32)
    monkeypatch.setattr(own_images, "MOST_IMAGES", 12)
    assert len(own_images.load(folder).train) == 10
    assert "or a smaller size" in problem(lambda: own_images.load(folder, size=(32, 33)))


def test_what_may_not_be_read(folder, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert "cannot be read (Permission denied)" in problem(lambda: own_images.load(folder))
    monkeypatch.setattr(Image, "open", refuse)
    assert "cat/000.png (it may not be read)" in problem(lambda: own_images.load(folder))


@pytest.mark.parametrize("wrong", [{"size": (32,)}, {"size": (4, 32)}, {"size": 32}, {"test_share": 0.9}, {"seed": -1}])
def test_settings_that_are_not_allowed(folder, wrong):
    assert next(iter(wrong)) in problem(lambda: own_images.load(folder, **wrong))


def test_a_picture_in_two_classes_and_one_that_is_made_larger_are_said(folder):
    picture(0).save(folder / "dog" / "like_a_cat.png")
    for number in range(2):
        picture(200 + number, size=(3, 1 + number)).save(folder / "dog" / f"tiny{number}.png")
    mine = own_images.load(folder)
    assert mine.left_out == (
        ("dog/like_a_cat.png", "the same pixels as cat/000.png, of another class: one of them is wrong"),
    )
    assert dict(mine.changed)["smaller ones (made larger)"] == 2
    assert "Changed: 2 smaller ones (made larger)." in mine.sentence

"""Emoji by name: averages over areas against fractions, variants in one split, what is not there or damaged."""

import doctest
import zipfile
from fractions import Fraction

import cv2
import numpy as np
import pytest
from test_source_files import SHARED, random_images

import vae
from vae.data import emoji_names, load
from vae.data.resizing import area_average
from vae.data.sources import emoji

PEOPLE = [f"1f4{number:02x}" for number in range(0x40, 0x65)]  # each a base of its own, but for those of one couple or person
TONES = list(emoji.TONES)


def write_zip(path, named, size=(8, 8, 4)):
    """A zip of random PNG files by code points; returns what they hold, in the order of their names."""
    images = random_images(len(named), size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for codes, image in zip(named, images, strict=True):
            file.writestr(f"any/emoji_u{codes}.png", png(image))
    return images


def png(image):
    order = [2, 1, 0, 3][: image.shape[-1]]  # OpenCV writes BGR
    return cv2.imencode(".png", image[..., order])[1].tobytes()


@pytest.fixture
def archive(tmp_path):
    """Beside $TFDS_DATA_DIR, which is where `emoji` looks."""
    named = sorted([*PEOPLE, *(f"{code}_{tone}" for code in PEOPLE[:20] for tone in TONES)])
    return tmp_path / "emoji" / "some.zip", named, write_zip(tmp_path / "emoji" / "some.zip", named)


def test_an_average_over_areas_is_that_of_fractions():
    images = random_images(2, (5, 5, 4))
    images[0, :3, :3, 3] = 0
    side, (image, _) = 3, images
    got = emoji.averaged(images, side)[0]
    for i in range(side):
        for j in range(side):
            total, colours = Fraction(0), [Fraction(0)] * 3
            for h in range(5):
                for w in range(5):
                    area = shared(i, h) * shared(j, w) / Fraction(25, 9)
                    total += area * int(image[h, w, 3])
                    colours = [c + area * int(image[h, w, 3]) * int(image[h, w, k]) for k, c in enumerate(colours)]
            want = [255] * 3 if total == 0 else [nearest(c / total) for c in colours]
            assert got[i, j].tolist() == [*want, nearest(total)]


def test_gray_and_several_channels_are_averaged_alike():
    images = random_images(2, (5, 5, 2))
    got = area_average(images, 3)
    for i in range(3):
        for j in range(3):
            areas = [(shared(i, h) * shared(j, w), images[:, h, w]) for h in range(5) for w in range(5)]
            want = sum(area * pixel.astype(object) for area, pixel in areas) / Fraction(25, 9)
            assert got[:, i, j].tolist() == [[nearest(value) for value in row] for row in want]
    np.testing.assert_array_equal(area_average(images, 5), images)
    with pytest.raises(ValueError, match=r"got images \(2, 5, 5, 2\) and a side of 6; wanted square ones, none smaller"):
        area_average(images, 6)


def shared(new, old):
    """The length that pixel `old` of 5 has in common with pixel `new` of 3, in pixels of the 5."""
    return max(Fraction(0), min(Fraction(old + 1), Fraction(5 * (new + 1), 3)) - max(Fraction(old), Fraction(5 * new, 3)))


def nearest(value):
    return int(value + Fraction(1, 2))


def test_at_its_own_size_an_image_is_itself_but_for_colours_that_nobody_sees():
    images = random_images(3, (6, 6, 4))
    images[:, :2, :, 3] = 0
    same = emoji.averaged(images, 6)
    seen = images[..., 3] > 0
    np.testing.assert_array_equal(same[seen], images[seen])
    assert np.unique(same[~seen], axis=0).tolist() == [[255, 255, 255, 0]]


def test_on_white_and_halves_of_a_pixel():
    red, clear = [255, 0, 0, 255], [9, 9, 9, 0]
    image = np.array([[[red, clear], [red, clear]]], np.uint8)
    assert emoji.averaged(image, 1).tolist() == [[[[255, 0, 0, 128]]]], "the colour of what is transparent does not mix in"
    assert emoji.on_white(image)[0, 0].tolist() == [[255, 0, 0], [255, 255, 255]]
    images = random_images(5, (4, 4, 4))
    alpha = images[..., 3:] / 255.0
    np.testing.assert_array_equal(emoji.on_white(images), np.rint(alpha * images[..., :3] + (1 - alpha) * 255.0))


def test_every_size_and_white_by_name(archive, tmp_path):
    path, named, images = archive
    data = load("emoji")
    splits = data[1:4]
    assert (data.shape, data.label_names, data.binary) == ((8, 8, 4), emoji.FACTORS, False)
    rows = np.concatenate([split.label[:, emoji.FACTORS.index("file")] for split in splits])
    assert sorted(rows) == list(range(len(named))), "every file in one split"
    np.testing.assert_array_equal(np.concatenate([split.x for split in splits]), emoji.averaged(images, 8)[rows])
    assert load("emoji/3").shape == load(f"emoji/3:{path}").shape == load(f"emoji/3:{path.parent}").shape == (3, 3, 4)
    assert load("emoji/3").sha256 == load(f"emoji/3:{path}").sha256
    with zipfile.ZipFile(path) as file:
        file.extractall(tmp_path / "unpacked")
    assert load(f"emoji/3:{tmp_path / 'unpacked' / 'any'}").sha256 == load("emoji/3").sha256
    np.testing.assert_array_equal(load("emoji/3/rgb").test.x, emoji.on_white(load("emoji/3").test.x))
    assert vae.data.image_splits("emoji/3").train.spec.space == "uint8"


def test_variants_stay_in_one_split_and_a_tenth_is_tested(archive):
    data = load("emoji", validation_fraction=0.2)
    base = emoji.FACTORS.index("base")
    found = [set(split.label[:, base].tolist()) for split in data[1:4]]
    assert len(set.union(*found)) == sum(map(len, found)), "a base in two splits"
    total = len(archive[1])
    assert [len(split.x) for split in data[2:4]] == [round(0.2 * total), round(0.1 * total)]
    assert any(len(part) < len(split.x) for part, split in zip(found[1:], data[2:4])), "some base has its variants there"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1f44b", "1f44b_1f3fd"),
        ("1f9d1_1f3fb_200d_1f680", "1f468_1f3ff_200d_1f680"),
        ("1f3c3", "1f3c3_1f3fd_200d_2640_200d_27a1"),
        ("1f46b", "1f469_1f3fb_200d_1f91d_200d_1f468_1f3ff"),
        ("1f46b_1f3fb", "1f469_200d_1f91d_200d_1f468"),
        ("1f91d", "1faf1_1f3fb_200d_1faf2_1f3fd"),
        ("1f46a", "1f468_200d_1f468_200d_1f466"),
    ],
)
def test_variants_of_one_base(first, second):
    assert len(set(emoji.bases([first, second]))) == 1


def test_signs_by_themselves_are_bases():
    alone = ["27a1", "2640", "2642", "1f3fb", "1f3fc", "1f9d1", "1f9d2", "1f9d1_200d_1f680", "1f9d1_200d_1f33e"]
    assert len(set(emoji.bases(alone))) == len(alone)


def test_factors_and_names(tmp_path):
    named = [
        "1f44b",
        "1f44b_1f3fd",
        "1f468_1f3fb_200d_1f91d_200d_1f468_1f3ff",
        "1f3c3_200d_2640",
        "2640",
        "0023_20e3",
        "1f9d1_200d_1f9b0",
    ]
    write_zip(tmp_path / "emoji" / "some.zip", named)
    places = {codes: place for place, codes in enumerate(sorted(named))}
    found = emoji.factors(tuple(sorted(named)))
    of = {
        codes: {name: int(found[name][place]) for name in ("tone", "second_tone", "gender")} for codes, place in places.items()
    }
    assert of["1f44b"] == {"tone": 0, "second_tone": 0, "gender": 0}
    assert of["1f44b_1f3fd"] == {"tone": 3, "second_tone": 0, "gender": 0}
    assert of["1f468_1f3fb_200d_1f91d_200d_1f468_1f3ff"] == {"tone": 1, "second_tone": 5, "gender": 2}
    assert of["1f3c3_200d_2640"]["gender"] == 1
    assert of["2640"]["gender"] == 0
    names = emoji_names()
    assert names[places["1f44b_1f3fd"]] == "waving hand sign, medium skin tone"
    assert names[places["1f3c3_200d_2640"]] == "runner, woman"
    assert names[places["0023_20e3"]] == "number sign, keycap"
    assert names[places["1f9d1_200d_1f9b0"]] == "adult, red hair"


def test_the_example_of_the_docstring():
    (example,) = doctest.DocTestFinder(recurse=False).find(emoji.bases, "bases", globs={"bases": emoji.bases})
    assert doctest.DocTestRunner().run(example).failed == 0


def test_what_is_not_there_or_cannot_be_used(archive, tmp_path, monkeypatch):
    path, named, _ = archive
    with pytest.raises(ValueError, match=r"'emoji/0' is not of the form emoji, emoji/32"):
        load("emoji/0")
    with pytest.raises(ValueError, match=r"'emoji/9' asks for a side of 9 of files that are 8 x 8 x 4"):
        load("emoji/9")
    with pytest.raises(
        FileNotFoundError, match=r"'emoji/4:/nowhere' finds no zip of emoji_u\*\.png at /nowhere; put one there"
    ):
        load("emoji/4:/nowhere")
    write_zip(tmp_path / "gray.zip", named, (8, 8, 3))
    with pytest.raises(ValueError, match=r"of files that are 8 x 8 x 3 .* wanted square images of 4 channels"):
        load(f"emoji/4:{tmp_path / 'gray.zip'}")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("cat.png", b"a cat")
    with pytest.raises(ValueError, match=r"other\.zip holds no files named as emoji_u1f600\.png is"):
        load(f"emoji:{tmp_path / 'other.zip'}")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("emoji_u1ffff.png", png(random_images(1, (7, 8, 4))[0]))
    with pytest.raises(ValueError, match=r"the emoji have mixed sizes: .* emoji_u1ffff\.png is \(7, 8, 4\)"):
        load("emoji/4")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "empty" / "deep"))
    with pytest.raises(FileNotFoundError, match=r"'emoji' finds no zip"):
        load("emoji")


@pytest.mark.parametrize("where", ["directory", "deflated data"])
def test_a_damaged_zip_is_refused_in_one_sentence(tmp_path, where):
    path = tmp_path / "emoji" / "some.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for codes in PEOPLE:
            file.writestr(f"emoji_u{codes}.png", bytes(5000))
    whole = path.read_bytes()
    damaged = whole[: len(whole) // 2] if where == "directory" else whole[:60] + bytes(6 * [255]) + whole[66:]
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"some\.zip is (not a readable|a damaged) zip file") as caught:
        load("emoji")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not (SHARED / "emoji").is_dir(), reason="the shared emoji are not beside the repository")
def test_the_published_zip_is_cut_by_what_it_shows(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(SHARED / "tensorflow_datasets"))
    codes = tuple(emoji.files_of(emoji.request_of("emoji").archive))
    found = emoji.factors(codes)
    assert len(codes) == 3583
    assert np.bincount(found["tone"]).sum() == 3583
    assert np.ptp(np.bincount(found["tone"])[1:]) <= 20, "the tones are about equally many"
    assert len(set(found["base"].tolist())) == 1484
    same = {"1f468_200d_1f466", "1f9d1_200d_1f9d2"}  # drawn alike, pixel by pixel
    assert len({int(found["base"][codes.index(one)]) for one in same}) == 1

"""Emoji in colour with transparency, from a zip of PNG files that are named by their code points in hexadecimal.

    emoji           as the files are                          emoji/32         at 32 x 32
    emoji/32/rgb    drawn on white, three channels            emoji/32:PATH    of the zip, or of the folder that holds it

Without a PATH the zip lies in the folder `emoji` in or beside $TFDS_DATA_DIR. `emoji_u1f44b_1f3fd.png` is U+1F44B with the skin
tone U+1F3FD. A smaller image is an average over areas of colours times alpha, in whole numbers, so that it is the same on every
machine.

Colours are not multiplied by alpha. That of a transparent pixel, which nobody sees, is made white: it has to be something,
noise would cost bits, and a mean of images, whose edges are between drawing and nothing, shows it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from vae.data.content import row_digests, text_bytes
from vae.data.resizing import area_sums
from vae.data.sources.base import Raw, Rows, Source, fingerprint
from vae.data.sources.folder import decode, list_images, reader
from vae.data.sources.tfds import data_dir

FACTORS = ("tone", "second_tone", "gender", "base", "file")
"""The labels: skin tone of the first and of the second person (0 none, 1 light to 5 dark), gender (0 not said, 1 woman, 2 man),
and the places of what it shows and of the file among all in sorted order."""

TONES = {"1f3fb": "light", "1f3fc": "medium-light", "1f3fd": "medium", "1f3fe": "medium-dark", "1f3ff": "dark"}
WOMEN, MEN = ("2640", "1f469", "1f467", "1f475"), ("2642", "1f468", "1f466", "1f474")
PERSON = {"1f468": "1f9d1", "1f469": "1f9d1", "1f466": "1f9d2", "1f467": "1f9d2", "1f474": "1f9d3", "1f475": "1f9d3"}
JOINER, SELECTOR, RIGHTWARDS = "200d", "fe0f", "27a1"
UNSEEN = {*TONES, JOINER, SELECTOR, RIGHTWARDS, "2640", "2642"}
COUPLES = {
    **dict.fromkeys(("1f46b", "1f46c", "1f46d"), ("1f9d1", "1f91d", "1f9d1")),
    "1f46a": ("1f9d1", "1f9d1", "1f9d2"),
    "1f48f": ("1f9d1", "2764", "1f48b", "1f9d1"),
    "1f491": ("1f9d1", "2764", "1f9d1"),
    "1f91d": ("1faf1", "1faf2"),
}
"""Single code points that show what a sequence spells out."""

WORDS = {"2640": "woman", "2642": "man", RIGHTWARDS: "facing right", "20e3": "keycap"}
WORDS |= {code: f"{tone} skin tone" for code, tone in TONES.items()}

PATTERN = re.compile(r"emoji(?:/(?P<side>\d+))?(?P<rgb>/rgb)?(?::(?P<path>.+))?")
FILE = re.compile(r"emoji_u([0-9a-f]+(?:_[0-9a-f]+)*)\.png")
WHITE, VERSION = 255, 1


class Request(NamedTuple):
    """What a name asks for.

    archive: the zip or the folder of files.
    side:    of the images, None for that of the files.
    rgb:     whether they are drawn on white, in three channels.
    """

    archive: Path
    side: int | None
    rgb: bool


def read(name: str) -> Raw:
    """All emoji with their factors; what shows the same, whatever its skin tone, gender and direction, stays in one split."""
    archive, side, rgb = request_of(name)
    files = files_of(archive)
    labels = np.stack(list(factors(tuple(files)).values()), axis=1)
    read_bytes, paths = reader(str(archive)), list(files.values())
    shape = decode(paths[0], read_bytes(paths[:1])[0]).shape
    if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 4 or (side or shape[0]) > shape[0]:
        raise ValueError(
            f"{name!r} asks for a side of {side or shape[0]} of files that are {' x '.join(map(str, shape))} in {archive}; "
            "wanted square images of 4 channels, and a side no larger than theirs."
        )

    def fetch(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = [paths[i] for i in indices]
        images = [decode(path, data) for path, data in zip(chosen, read_bytes(chosen), strict=True)]
        for path, image in zip(chosen, images, strict=True):
            if image.shape != shape:
                raise ValueError(f"the emoji have mixed sizes: {paths[0]} is {shape} but {path} is {image.shape}: resize them.")
        smaller = averaged(np.stack(images), side or shape[0])
        return on_white(smaller) if rgb else smaller, labels[indices]

    return Raw({"train": Rows(len(paths), fetch)}, label_names=FACTORS, together=row_digests(text_bytes(bases(tuple(files)))))


def emoji_names(name: str = "emoji") -> tuple[str, ...]:
    """What every emoji is called, by its factor "file": the Unicode names of its code points, in words that say the tone.

    "waving hand sign, medium skin tone"; "u+1face" where this Python's Unicode is older than the code point.
    """
    return tuple(", ".join(map(_word, visible(codes))) for codes in files_of(request_of(name).archive))


def visible(codes: str) -> list[str]:
    """The code points of a sequence without those that only join or select."""
    return [code for code in codes.split("_") if code not in (JOINER, SELECTOR)]


def _word(code: str) -> str:
    return WORDS.get(code) or unicodedata.name(chr(int(code, 16)), f"u+{code}").lower().removeprefix("emoji component ")


def bases(files: Sequence[str]) -> list[str]:
    """What each sequence of code points shows, whatever its skin tones, gender and direction: variants have one base.

    >>> bases(["1f3c3_1f3fd_200d_2640_200d_27a1", "1f3c3", "1f469_1f3fb_200d_1f680", "1f9d1_200d_1f680", "27a1"])
    ['1f3c3', '1f3c3', '1f9d1_1f680', '1f9d1_1f680', '27a1']
    """
    return ["_".join(_base(codes.split("_"))) for codes in files]


def _base(codes: list[str]) -> Sequence[str]:
    seen = [PERSON.get(code, code) for i, code in enumerate(codes) if i == 0 or code not in UNSEEN]
    return COUPLES.get(seen[0], seen) if len(seen) == 1 else seen


def factors(files: Sequence[str]) -> dict[str, np.ndarray]:
    """The labels `FACTORS` of sequences of code points, (N,) int32 each."""
    order, shown = list(TONES), bases(files)
    tones = [[1 + order.index(code) for code in codes.split("_")[1:] if code in TONES] for codes in files]
    places = {base: place for place, base in enumerate(sorted(set(shown)))}
    columns: dict[str, Any] = {
        "tone": [(*found, 0)[0] for found in tones],
        "second_tone": [(*found, 0, 0)[1] for found in tones],
        "gender": [_gender(codes.split("_")) for codes in files],
        "base": [places[base] for base in shown],
        "file": range(len(files)),
    }
    return {name: np.array(column, np.int32) for name, column in columns.items()}


def _gender(codes: list[str]) -> int:
    """Of the first code point that says one; a sign by itself is no person."""
    said = [1 if code in WOMEN else 2 for i, code in enumerate(codes) if code in WOMEN + MEN and (i or code in PERSON)]
    return (*said, 0)[0]


def averaged(images: np.ndarray, side: int) -> np.ndarray:
    """(N, S, S, 4) bytes -> (N, side, side, 4): averages over areas, of alpha and of colours weighted by alpha.

        alpha = sum_i w_i a_i,   colour = sum_i w_i a_i c_i / sum_i w_i a_i,   rounded to the nearest; white where alpha is 0

    w_i is the area that pixel i has in common with the new one, a whole number of 1/side^2 parts of a pixel.
    """
    colours, alpha = np.split(images.astype(np.int64), [3], axis=-1)
    sums = area_sums(np.concatenate([colours * alpha, alpha], axis=-1), side)
    weighted, total = np.split(sums.astype(np.int64), [3], axis=-1)
    area = images.shape[1] ** 2
    shown = (2 * total + area) // (2 * area)
    colour = np.where(shown > 0, (2 * weighted + total) // np.maximum(2 * total, 1), WHITE)
    return np.concatenate([colour, shown], axis=-1).astype(np.uint8)


def on_white(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 4) -> (N, H, W, 3): alpha colour + (1 - alpha) white, rounded to the nearest."""
    colours, alpha = np.split(images.astype(np.int64), [3], axis=-1)
    return ((2 * (alpha * colours + (255 - alpha) * WHITE) + 255) // 510).astype(np.uint8)


def request_of(name: str) -> Request:
    """What a name of this source asks for; ValueError for a side of 0, FileNotFoundError where there is no zip."""
    found = PATTERN.fullmatch(name)
    if found is None or found["side"] == "0":
        raise ValueError(f"{name!r} is not of the form emoji, emoji/32, emoji/32/rgb or emoji/32:PATH with a side from 1 on.")
    archive = find_archive(name, found["path"])
    return Request(archive, int(found["side"]) if found["side"] else None, bool(found["rgb"]))


def find_archive(name: str, path: str | None) -> Path:
    """The zip or the folder of PNG files: PATH, or the zip in it; FileNotFoundError where there is none."""
    folders = [Path(path).expanduser()] if path else [data_dir() / "emoji", data_dir().parent / "emoji"]
    for folder in folders:
        if folder.is_file():
            return folder
        zips = sorted(folder.glob("*.zip"))
        if zips or any(folder.glob("emoji_u*.png")):
            return zips[0] if zips else folder
    raise FileNotFoundError(
        f"{name!r} finds no zip of emoji_u*.png at {' or '.join(map(str, folders))}; put one there, or name it: emoji/32:PATH."
    )


def files_of(archive: Path) -> dict[str, str]:
    """The code points of each file, such as 1f44b_1f3fd, to its path, sorted by code points."""
    names = {path: FILE.fullmatch(PurePosixPath(path).name) for path in list_images(str(archive))}
    found = {match[1]: path for path, match in names.items() if match is not None}
    if not found:
        raise ValueError(f"{archive} holds no files named as emoji_u1f600.png is; wanted a zip or a folder of such.")
    return dict(sorted(found.items()))


def _accepts(name: str) -> bool:
    return name == "emoji" or PATTERN.fullmatch(name) is not None


def _identify(name: str) -> str:
    archive, side, rgb = request_of(name)
    files = [archive] if archive.is_file() else [archive / path for path in files_of(archive).values()]
    own = hashlib.sha256(repr((VERSION, sorted(UNSEEN), PERSON, COUPLES)).encode()).hexdigest()
    return f"{own} {side} {rgb}\n{fingerprint(files)}"


SOURCE = Source(usage="emoji, emoji/32, emoji/32/rgb, emoji/32:PATH", accepts=_accepts, identify=_identify, read=read)

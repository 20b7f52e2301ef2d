"""Pictures of all kinds, each with the right value, and what is said of them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data import decode
from data.image_set import DataError, ImageSet
from data.reading import LeftOut, Reading, WasRead, as_before
from data.sources import load


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def put(path: Path, content: bytes | np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else encoded(content))


def flat(value: int | tuple[int, ...], height: int = 8, width: int = 8) -> np.ndarray:
    return np.full((height, width, *([] if isinstance(value, int) else [len(value)])), value, dtype=np.uint8)


def many(folder: Path, n: int = 20) -> None:
    for i in range(n):
        put(folder / f"{i:03}.png", flat(i))


def told(images: ImageSet) -> WasRead:
    assert images.was_read is not None
    return images.was_read


def test_what_cannot_be_read_is_left_out_counted_and_named(tmp_path: Path) -> None:
    many(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    put(tmp_path / "v.png", encoded(noise)[:2000])
    put(tmp_path / "w.png", b"")
    put(tmp_path / "x.jpg", b"\n<!DOCTYPE html><html>not found</html>")
    put(tmp_path / "y.gif", b"no picture")
    (tmp_path / "z.png").symlink_to("nowhere.png")
    images = load(str(tmp_path))
    assert images.images[:, 0, 0, 0].tolist() == list(range(20))
    assert list(images.names or ()) == [f"{i:03}.png" for i in range(20)]
    assert told(images).left_out == (
        LeftOut("v.png", "truncated"),
        LeftOut("w.png", "empty"),
        LeftOut("x.jpg", "a web page"),
        LeftOut("y.gif", "not an image"),
        LeftOut("z.png", "broken link"),
    )
    assert (told(images).found, told(images).read) == (25, 20)
    assert told(images).line() == (
        f"read 20 of 25 images of {tmp_path} (5 left out: 1 truncated, 1 empty, 1 a web page, 1 not an image, "
        "1 others), 8×8 pixels, grey"
    )
    with pytest.raises(DataError, match=r"5 of 25 image files cannot be read\. Mend(.|\n)*v.png \(truncated\)"):
        load(str(tmp_path), reading=Reading(unreadable="stop"))
    put(tmp_path / "zz.png", b"")
    with pytest.raises(DataError, match=r"6 of 26 image files cannot be read .up to 20% are left out(.|\n)*and 1 more"):
        load(str(tmp_path))


def test_other_endings_of_pictures_are_read_and_other_files_counted(tmp_path: Path) -> None:
    pixels = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)
    for i, (ending, kind) in enumerate([("jfif", "JPEG"), ("jpe", "JPEG"), ("avif", "AVIF"), ("JP2", "JPEG2000")]):
        put(tmp_path / f"{i}.{ending}", encoded(np.stack([pixels] * 3, axis=2), kind))
    for name in ("a.svg", "b.mp4", "c.txt", "d.txt", "README", ".hidden.png", "__MACOSX/._0.png", ".git/x.png"):
        put(tmp_path / name, b"something")
    images = load(str(tmp_path))
    assert images.images.shape == (4, 3, 8, 8)
    assert (images.images.int() - torch.from_numpy(pixels.astype(np.int32))).abs().max() <= 25  # they lose a little
    assert told(images).notes == ("passed over: 2 .txt, 1 without ending, 1 .svg, 1 .mp4",)


def test_no_picture_at_all(tmp_path: Path) -> None:
    put(tmp_path / "film.mp4", b"x")
    with pytest.raises(DataError, match=r"holds no images, but 1 \.mp4\. Images are \.png"):
        load(str(tmp_path))


def test_bits_of_deep_pictures_are_those_that_the_set_uses(tmp_path: Path) -> None:
    new, tmp_path = tmp_path / "new", tmp_path / "old"
    values = np.array([[0, 16, 2048, 4095]] * 4, dtype=np.uint16)
    put(tmp_path / "a.png", values)
    put(tmp_path / "b.png", values // 16)
    put(tmp_path / "c.png", flat(77, 4, 4))  # 8 bits stay what they are
    images = load(str(tmp_path))
    # 255 / 4095 = 0.06227: 16 → 1.0, 2048 → 127.5, 1 → 0.06, 128 → 7.97, 255 → 15.9
    assert images.images[:, 0, 0].tolist() == [[0, 1, 128, 255], [0, 0, 8, 16], [77] * 4]
    assert told(images).notes == ("16-bit pictures hold 12 bits: 0 to 4,095 became 0 to 255",)
    # New pictures are scaled as these were, whatever they hold themselves.
    put(new / "d.png", np.full((4, 4), 255, dtype=np.uint16))
    new = load(str(new), reading=as_before(told(images).reading()))
    assert new.images.unique().tolist() == [16]
    put(tmp_path / "e.png", np.full((4, 4), 65535, dtype=np.uint16))
    assert load(str(tmp_path)).images[:, 0, 0].tolist()[0] == [0, 0, 8, 16]


def test_what_vanishes_in_the_background_is_told(tmp_path: Path) -> None:
    shape = flat((255, 255, 255, 0))
    shape[2:5, 2:5, 3] = 255
    put(tmp_path / "a.png", shape)
    put(tmp_path / "b.png", flat((255, 255, 255, 0)))  # wholly transparent: nothing vanishes
    images = load(str(tmp_path))
    assert images.images.unique().tolist() == [255]
    assert told(images).notes == ("1 picture shows nothing on white: data.background=grey brings out the shapes",)
    grey = load(str(tmp_path), reading=Reading(background="grey"))
    assert grey.images[0, 0].unique().tolist() == [128, 255]
    assert told(grey).notes == ()
    assert told(grey).line().endswith("8×8 pixels, colour, on grey")
    with pytest.raises(DataError, match="data.background=mauve-ish is no colour: take white"):
        load(str(tmp_path), reading=Reading(background="mauve-ish"))


def png_of(width: int, height: int, rows: int) -> bytes:
    """A grey PNG that announces a size, and holds so many black rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(rows * (width + 1)))) + chunk(b"IEND", b"")
    )


def test_bombs_are_left_out_and_large_scans_read(tmp_path: Path) -> None:
    many(tmp_path)
    put(tmp_path / "bomb.png", png_of(60_000, 60_000, 1))
    put(tmp_path / "scan.png", png_of(10_000, 9_500, 9_500))  # Pillow itself warns from 89 million pixels on
    limit = Image.MAX_IMAGE_PIXELS
    images = load(str(tmp_path))
    assert told(images).left_out == (LeftOut("bomb.png", "more than 200 million pixels"),)
    assert images.images[-1].unique().tolist() == [0]
    assert limit == Image.MAX_IMAGE_PIXELS


def test_jpegs_are_decoded_at_a_reduced_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(np.tile(flat(200, 64, 64), (10, 20)), "JPEG")  # 640 × 1280
    monkeypatch.setattr(decode, "LARGEST", 320 * 160)
    look = decode.Look((32, 64), 1)
    assert np.abs(decode.decode(content, look).pixels.astype(int) - 200).max() <= 2
    monkeypatch.setattr(decode, "LARGEST", 300 * 160)
    with pytest.raises(decode.Unreadable, match="more than"):
        decode.decode(content, look)


def test_names_of_settings_make_a_reading() -> None:
    done = {"size": [8, 9], "channels": 1, "fit": None, "background": None, "bits": 12}
    asked = Reading(fit="contain", background="black", size=(1, 1))
    assert as_before(done, asked) == Reading((8, 9), 1, "contain", "black", bits=12)

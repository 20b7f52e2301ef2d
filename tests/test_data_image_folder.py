from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data import image_folder
from data.image_set import DataError, ImageSet
from data.reading import Reading
from data.sizes import common_size

generator = np.random.default_rng(0)


def put(path: Path, pixels: np.ndarray | Sequence[Sequence[int]] | None = None, **options: Any) -> np.ndarray:
    """Writes an image file, 8×8 grey noise if nothing else is asked for, and returns its pixels."""
    if pixels is None:
        pixels = generator.integers(0, 256, (8, 8), dtype=np.uint8)
    array = np.asarray(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return array


def flat(height: int, width: int, value: int | tuple[int, ...] = 100) -> np.ndarray:
    shape = (height, width) if isinstance(value, int) else (height, width, len(value))
    return np.full(shape, value, dtype=np.uint8)


def labels_of(images: ImageSet) -> list[int]:
    assert images.labels is not None
    return images.labels.tolist()


def test_without_sub_folders_there_are_no_labels(tmp_path: Path) -> None:
    pixels = {name: put(tmp_path / name) for name in ("c.png", "a.png", "b.bmp")}
    (tmp_path / "notes.txt").write_text("no image")
    put(tmp_path / "._a.png")
    images = image_folder.load(tmp_path, "train")
    assert images.labels is None
    assert images.class_names == ()
    assert images.images.shape == (3, 1, 8, 8)
    for row, name in enumerate(("a.png", "b.bmp", "c.png")):
        assert (images.images[row, 0].numpy() == pixels[name]).all()


def test_sub_folders_are_classes_sorted_by_name(tmp_path: Path) -> None:
    pixels = [
        put(tmp_path / "ant" / "2.png"),
        put(tmp_path / "ant" / "deep" / "1.png"),
        put(tmp_path / "bee" / "0.PNG"),
    ]
    (tmp_path / "empty").mkdir()
    put(tmp_path / ".hidden" / "x.png")
    images = image_folder.load(tmp_path, "train")
    assert images.class_names == ("ant", "bee")
    assert labels_of(images) == [0, 0, 1]
    assert (images.images[:, 0].numpy() == np.stack(pixels)).all()


def test_train_and_test_are_splits_with_one_set_of_classes(tmp_path: Path) -> None:
    put(tmp_path / "train" / "cat" / "1.png", flat(8, 8, 1))
    put(tmp_path / "train" / "dog" / "1.png", flat(8, 8, 2))
    put(tmp_path / "test" / "dog" / "1.png", flat(8, 8, 3))
    train, test = image_folder.load(tmp_path, "train"), image_folder.load(tmp_path, "test")
    assert labels_of(train) == [0, 1]
    assert labels_of(test) == [1]
    assert train.class_names == test.class_names == ("cat", "dog")
    everything = image_folder.load(tmp_path, "all")
    assert everything.images[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert labels_of(everything) == [0, 1, 1]


def test_both_splits_have_one_size_and_one_number_of_channels(tmp_path: Path) -> None:
    put(tmp_path / "train" / "1.png", flat(10, 12))
    put(tmp_path / "train" / "2.png", flat(10, 12))
    put(tmp_path / "test" / "1.png", flat(20, 24, (9, 8, 7)))
    # Two of three are not nearly all: the middle area, 10 · 12, gives the smallest, 16 · 16. In their aspect these are
    # 14.6 × 17.5, which is nearest to 16 × 16 in steps of 4.
    assert image_folder.load(tmp_path, "train").images.shape == (2, 3, 16, 16)
    assert image_folder.load(tmp_path, "test").images.shape == (1, 3, 16, 16)


def test_without_test_folder_there_is_no_test_split(tmp_path: Path) -> None:
    put(tmp_path / "1.png")
    with pytest.raises(DataError, match="has no test split"):
        image_folder.load(tmp_path, "test")
    assert image_folder.load(tmp_path, "all").split == "all"


def test_a_lone_train_folder_is_a_split_and_no_class(tmp_path: Path) -> None:
    put(tmp_path / "train" / "1.png")
    assert image_folder.load(tmp_path, "train").labels is None
    with pytest.raises(DataError, match="has no test split"):
        image_folder.load(tmp_path, "test")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    put(tmp_path / "plane" / "1.png")
    put(tmp_path / "train" / "1.png")
    assert image_folder.load(tmp_path, "train").class_names == ("plane", "train")


def test_labels_are_dropped_where_one_split_has_none(tmp_path: Path) -> None:
    put(tmp_path / "train" / "1.png")
    put(tmp_path / "test" / "cat" / "1.png")
    assert image_folder.load(tmp_path, "train").labels is None
    assert labels_of(image_folder.load(tmp_path, "test")) == [0]
    assert image_folder.load(tmp_path, "all").labels is None


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(8, 8)], (8, 8)),
        ([(96, 20)], (96, 20)),  # all equal, and no side above 96
        ([(97, 20)], (96, 20)),  # 44 × 44 pixels in area, nearest to 48 × 48; of 106 × 22 the longer side is cut
        ([(300, 400)] * 2, (56, 72)),  # 64 × 64 in this aspect is 55.4 × 73.9
        ([(8, 9), (8, 9), (300, 400)], (16, 16)),  # no aspect that nearly all have, and no side below 16
        ([(300, 400), (300, 400), (8, 9)], (64, 64)),
        ([(12, 10), (10, 12)], (16, 16)),
        ([(7, 9), *[(22, 22)] * 19], (22, 22)),  # nearly all
    ],
)
def test_the_common_size(tmp_path: Path, sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    for i, (height, width) in enumerate(sizes):
        put(tmp_path / f"{i}.png", flat(height, width))
    images = image_folder.load(tmp_path, "train")
    assert images.images.shape == (len(sizes), 1, *expected)
    assert (images.images == 100).all()


def test_few_odd_ones_do_not_decide_the_size() -> None:
    cuts = [(60 + 20 * (i % 5), 60 + 20 * (i % 7)) for i in range(200)]
    assert common_size([*cuts, (9, 14)]) == (64, 64)
    wallpapers = [(768 + 8 * i, 1024 + 8 * i) for i in range(32)]
    assert common_size([*wallpapers, *[(11, 16)] * 16]) == (64, 64)
    icons = [(side, side) for side in (16, 22, 24, 32, 48, 64, 128, 256)] * 10
    assert common_size(icons) == (48, 48)  # the middle one is 40: 48 / 40 < 40 / 32


def test_the_size_may_be_asked_for(tmp_path: Path) -> None:
    put(tmp_path / "a.png", flat(30, 40))
    assert image_folder.load(tmp_path, "train", Reading(size=(8, 12))).images.shape == (1, 1, 8, 12)


@pytest.mark.parametrize(
    ("fit", "row"),
    [
        # Black, 200 and 50 side by side, 8 high and 24 wide, become 8 × 8.
        ("cover", [200] * 8),
        ("stretch", [0, 0, 0, 200, 200, 50, 50, 50]),
    ],
)
def test_other_shapes_are_made_to_fit(tmp_path: Path, fit: Any, row: list[int]) -> None:
    put(tmp_path / "a.png", np.repeat(np.array([[0, 200, 50]], dtype=np.uint8), 8, axis=0).repeat(8, axis=1))
    images = image_folder.load(tmp_path, "train", Reading(size=(8, 8), fit=fit)).images
    inner = [0, 1, 3, 4, 6, 7] if fit == "stretch" else list(range(8))  # bicubic mixes where bands meet
    assert (images[0, 0, :, inner].int() - torch.tensor(row)[inner]).abs().max() <= 12


def test_contained_pictures_stand_on_the_background(tmp_path: Path) -> None:
    put(tmp_path / "a.png", flat(8, 24, 200))
    images = image_folder.load(tmp_path, "train", Reading(size=(24, 24), fit="contain", background="#404040"))
    assert images.images[0, 0, :, 0].tolist() == [64] * 8 + [200] * 8 + [64] * 8
    assert images.was_read is not None
    assert images.was_read.line().endswith("24×24 pixels, contain, grey, on #404040")
    coloured = image_folder.load(tmp_path, "train", Reading(size=(24, 24), fit="contain", background="#400000"))
    assert coloured.images[0, :, 0, 0].tolist() == [64, 0, 0]


def test_other_sizes_are_covered_and_cropped_around_the_centre(tmp_path: Path) -> None:
    # 8 high and 24 wide, in three bands: 8×8 shows the middle one.
    bands = np.repeat(np.array([[0, 200, 50]], dtype=np.uint8), 8, axis=0).repeat(8, axis=1)
    put(tmp_path / "2.png", bands)
    put(tmp_path / "3.png", np.kron(bands.T, np.ones((4, 4), dtype=np.uint8)))  # upright, four times larger
    images = image_folder.load(tmp_path, "train", Reading(size=(8, 8))).images
    assert (images[0] == 200).all()
    assert (images[1, 0, 2:-2] == 200).all()
    # When an image shrinks, the outermost rows mix in a little of what lies beyond the crop.
    assert (images[1].int() - 200).abs().max() <= 40


def test_grey_only_when_all_are_grey(tmp_path: Path) -> None:
    put(tmp_path / "a.png", flat(8, 8, 10))
    Image.fromarray(flat(8, 8, 255)).convert("1").save(tmp_path / "b.png")
    assert image_folder.load(tmp_path, "train").images[:, :, 0, 0].tolist() == [[10], [255]]
    put(tmp_path / "c.png", flat(8, 8, (1, 2, 3)))
    assert image_folder.load(tmp_path, "train").images[:, :, 0, 0].tolist() == [
        [10, 10, 10],
        [255, 255, 255],
        [1, 2, 3],
    ]


def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    put(tmp_path / "a.png", np.array([[0, 257, 25700, 65535]] * 4, dtype=np.uint16))
    images = image_folder.load(tmp_path, "train").images
    assert images[0, 0, 0].tolist() == [0, 1, 100, 255]


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    put(tmp_path / "rgba.png", flat(8, 8, (10, 20, 30, 0)))
    put(tmp_path / "solid.png", flat(8, 8, (10, 20, 30, 255)))
    images = image_folder.load(tmp_path, "train").images
    assert images[:, :, 0, 0].tolist() == [[255, 255, 255], [10, 20, 30]]


def test_transparent_grey_stays_grey(tmp_path: Path) -> None:
    Image.merge("LA", [Image.fromarray(flat(8, 8, 0)), Image.fromarray(flat(8, 8, 0))]).save(tmp_path / "a.png")
    assert image_folder.load(tmp_path, "train").images[:, :, 0, 0].tolist() == [[255]]


def test_photographs_are_turned_as_their_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    pixels = np.zeros((8, 16), dtype=np.uint8)
    pixels[:, :8] = 255  # left half white: turned, the upper half
    put(tmp_path / "a.png", pixels, exif=exif)
    images = image_folder.load(tmp_path, "train").images
    assert images.shape == (1, 1, 16, 8)
    assert (images[0, 0, :8] == 255).all()
    assert (images[0, 0, 8:] == 0).all()


def test_of_an_animation_the_first_image_counts(tmp_path: Path) -> None:
    frames = [Image.fromarray(flat(8, 8, value)) for value in (255, 0)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (image_folder.load(tmp_path, "train").images == 255).all()


def test_broken_files_are_counted_and_the_first_five_named(tmp_path: Path) -> None:
    put(tmp_path / "good.png")
    for i in range(7):
        (tmp_path / f"bad{i}.png").write_bytes(b"no image at all")
    with pytest.raises(DataError) as caught:
        image_folder.load(tmp_path, "train")
    message = str(caught.value)
    assert "7 of 8 image files cannot be read" in message
    assert all(f"bad{i}.png" in message for i in range(5))
    assert "bad5.png" not in message
    assert "and 2 more" in message


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    put(tmp_path / "good.png", flat(64, 64))
    put(tmp_path / "cut.png", generator.integers(0, 256, (64, 64), dtype=np.uint8))
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="1 of 2 image files cannot be read(.|\n)*cut.png"):
        image_folder.load(tmp_path, "train")


def test_pixels_that_are_no_8_or_16_bit_integers_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.tif", np.full((8, 8), 0.5, dtype=np.float32))
    put(tmp_path / "b.tif", np.full((8, 8), 70000, dtype=np.int32))
    with pytest.raises(DataError, match="2 of 2(.|\n)*a.tif .pixels are 32-bit floats(.|\n)*b.tif"):
        image_folder.load(tmp_path, "train")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        image_folder.load(tmp_path, "train")


def test_an_empty_split(tmp_path: Path) -> None:
    put(tmp_path / "train" / "1.png")
    (tmp_path / "test").mkdir()
    with pytest.raises(DataError, match="test holds no images"):
        image_folder.load(tmp_path, "train")


def test_images_beside_class_folders_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "loose.png")
    put(tmp_path / "cat" / "1.png")
    with pytest.raises(DataError, match=r"images itself .loose\.png, ….*in sub-folders .cat/1\.png, …"):
        image_folder.load(tmp_path, "train")


def test_a_palettes_transparent_colour_is_white(tmp_path: Path) -> None:
    image = Image.fromarray(flat(8, 8, (10, 20, 30))).convert("P")
    image.save(tmp_path / "a.png", transparency=image.getpixel((0, 0)))
    assert image_folder.load(tmp_path, "train").images[:, :, 0, 0].tolist() == [[255, 255, 255]]

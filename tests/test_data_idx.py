import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from data import idx
from data.image_set import DataError

SOURCE = Path("some-file")


def idx_bytes(array: np.ndarray, kind: int = 0x08) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def test_a_file_written_out_by_hand() -> None:
    # Two images of two rows and three columns; 0x0100 = 256 rows would show a wrong byte order.
    content = bytes.fromhex("00000803 00000002 00000002 00000003 000102030405 fafbfcfdfeff")
    array = idx.parse(content, SOURCE)
    assert array.tolist() == [[[0, 1, 2], [3, 4, 5]], [[250, 251, 252], [253, 254, 255]]]
    assert array.dtype == np.uint8
    assert array.flags.writeable


def test_dimensions_are_big_endian() -> None:
    assert idx.parse(bytes.fromhex("00000801 00000100") + bytes(256), SOURCE).shape == (256,)


@given(npst.arrays(np.uint8, npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)))
def test_what_was_written_is_read(array: np.ndarray) -> None:
    read = idx.parse(idx_bytes(array), SOURCE)
    assert read.shape == array.shape
    assert (read == array).all()


@given(st.binary(max_size=40))
def test_any_bytes_give_an_array_or_a_data_error(content: bytes) -> None:
    try:
        array = idx.parse(content, SOURCE)
    except DataError as error:
        assert "some-file" in str(error)
    else:
        assert idx_bytes(array) == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file: it begins with nothing"),
        (b"\x89PNG\r\n", "no IDX file: it begins with 89 50 4e 47"),
        (b"\0\0\x08", "no IDX file"),
        (b"\0\0\x0d\x01\0\0\0\x00", "float32 .IDX type 0x0d.; only uint8"),
        (b"\0\0\x07\x01\0\0\0\x00", "unknown type .IDX type 0x07."),
        (b"\0\0\x08\x00", "truncated: its header announces 0 dimensions"),
        (b"\0\0\x08\x02\0\0\0\x01\0\0", "truncated: its header announces 2 dimensions"),
        (b"\0\0\x08\x01\0\0\0\x03ab", "truncated: shape .3,. needs 3 bytes, it has 2"),
        (b"\0\0\x08\x01\0\0\0\x03abcd", "1 bytes too many"),
        (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", "truncated: shape"),
    ],
)
def test_broken_content_is_refused_and_the_file_named(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"some-file.*{message}"):
        idx.parse(content, SOURCE)


def test_gzipped_and_plain_files_have_the_same_content(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"\0\0\x08\x01\0\0\0\x01a")
    (tmp_path / "packed").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x01a"))
    assert idx.content(tmp_path / "plain") == idx.content(tmp_path / "packed") == b"\0\0\x08\x01\0\0\0\x01a"


@pytest.mark.parametrize("damage", ["cut", "flip", "header"])
def test_damaged_gzip_is_refused_and_the_file_named(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(bytes(range(256)) * 4))
    if damage == "cut":
        packed = packed[:-9]
    elif damage == "flip":
        packed[len(packed) // 2] ^= 0xFF
    else:
        packed[2] = 99  # a compression method that does not exist
    (tmp_path / "x.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"x\.gz is truncated or damaged"):
        idx.content(tmp_path / "x.gz")


def test_a_missing_file_is_left_to_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        idx.content(tmp_path / "none")

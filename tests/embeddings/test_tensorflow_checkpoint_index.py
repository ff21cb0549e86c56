"""The index of a checkpoint is read without trust."""

import pytest

from embeddings.tensorflow_checkpoint_index import FOOTER, MAGIC, read_index


def varint(number):
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def table(entries):
    """A table of one block."""
    block = entries + bytes(4)
    place = varint(0) + varint(len(block))
    index = varint(0) + varint(1) + varint(len(place)) + b"z" + place + bytes(4)
    footer = bytes(2) + varint(len(block) + 5) + varint(len(index))
    return block + bytes(5) + index + bytes(5) + footer.ljust(FOOTER - len(MAGIC), b"\0") + MAGIC


def test_keys_that_share_ever_more_do_not_fill_the_memory():
    """Each key is that before and one letter: n entries state n * n / 2 bytes."""
    entries = b"".join(varint(k) + varint(1) + varint(0) + b"a" for k in range(5000))
    with pytest.raises(ValueError, match="more than 100 times as long as the index itself"):
        read_index(table(entries), {})

"""The wire format of Protocol Buffers: numbers and messages as the fields of a message.

See protobuf.dev/programming-guides/encoding. A dozen lines suffice for what is written here, where the library
`protobuf` is a compiled dependency of several megabytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from struct import Struct

VARINT, FIXED64, LENGTH_DELIMITED = 0, 1, 2
"""The wire types, which are the low three bits of a field's tag."""

DOUBLE = Struct("<d")


def varint(number: int) -> bytes:
    """Return a number from 0 up to 2**64 as a varint: seven bits a byte, the lowest ones first."""
    if number < 128:  # nearly all are
        return _ONE_BYTE[number]
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_ONE_BYTE = [bytes([number]) for number in range(128)]


def zigzag(number: int) -> int:
    """Return the number that stands for a signed one (sint32, sint64), so that those near 0 take few bytes."""
    return number << 1 if number >= 0 else (-number << 1) - 1


@cache
def tag(field: int, wire_type: int) -> bytes:
    """Return the bytes that a field begins with."""
    return varint(field << 3 | wire_type)


def integer_field(field: int, number: int) -> bytes:
    """Return a field of type uint32, uint64, int64 or an enum; a negative number takes ten bytes."""
    return tag(field, VARINT) + varint(number if number >= 0 else number + (1 << 64))


def double_field(field: int, number: float) -> bytes:
    """Return a field of type double."""
    return tag(field, FIXED64) + DOUBLE.pack(number)


def bytes_field(field: int, content: bytes) -> bytes:
    """Return a field whose value has a length: a message, or packed numbers."""
    return tag(field, LENGTH_DELIMITED) + delimited(content)


def text_field(field: int, text: str) -> bytes:
    """Return a field of type string.

    Raises:
        UnicodeEncodeError: the text has a lone surrogate.
    """
    return bytes_field(field, text.encode())


def packed_field(field: int, numbers: Iterable[int]) -> bytes:
    """Return a repeated field of unsigned numbers; those who read it unpacked have to read it packed too."""
    return bytes_field(field, b"".join(map(varint, numbers)))


def delimited(message: bytes) -> bytes:
    """Return a message after its length, as one of several in a stream."""
    return varint(len(message)) + message

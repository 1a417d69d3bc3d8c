"""Small but real binary content, made rather than shipped: a picture, a sound, a printed page."""

import hashlib
import io
import math
import struct
import wave
import zlib

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def portrait(name: str, size: int = 16) -> bytes:
    """A PNG of `size` × `size` pixels: a mirrored pattern in a colour of its own for each name."""
    digest = hashlib.sha256(name.encode()).digest()
    colour, blank = digest[:3], b"\xf4\xf4\xf0"
    rows = bytearray()
    for y in range(size):
        rows.append(0)  # Every row begins with its filter; 0 stores the pixels as they are.
        for x in range(size):
            mirrored = min(x, size - 1 - x)
            rows += colour if digest[(y * size + mirrored) % 32] & 1 << (mirrored % 8) else blank
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return PNG_SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def greeting(name: str, rate: int = 8000) -> bytes:
    """A WAV of a quarter of a second: two notes, their pitch chosen by the name."""
    base = 330 + sum(name.encode()) % 220
    samples = bytearray()
    for index in range(rate // 4):
        pitch = base if index < rate // 8 else base * 5 / 4
        samples.append(128 + round(90 * math.sin(2 * math.pi * pitch * index / rate)))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(rate)
        sound.writeframes(bytes(samples))
    return buffer.getvalue()


def page(text: str) -> bytes:
    """A PDF of one page that says `text`, which must be plain ASCII without brackets."""
    drawing = f"BT /F1 18 Tf 40 100 Td ({text}) Tj ET".encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 360 200] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(drawing), drawing),
    ]
    out, offsets = b"%PDF-1.4\n", list[int]()
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return out + b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        table,
        size,
        len(out),
    )

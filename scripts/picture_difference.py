"""The largest difference of the PNG files of two folders, in levels of 255; fails above the limit. Python alone, for machines without anything else.

    python3 scripts/picture_difference.py FOLDER OTHER [LIMIT=8]
"""

import pathlib
import struct
import sys
import zlib


def pixels(path):
    """The samples of an 8-bit PNG that is not interlaced."""
    data, position, header, packed = path.read_bytes(), 8, None, b""
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position:position + 8])
        content = data[position + 8:position + 8 + length]
        header, packed = (content if kind == b"IHDR" else header), packed + (content if kind == b"IDAT" else b"")
        position += 12 + length
    width, height, depth, color = struct.unpack(">IIBB", header[:10])
    assert depth == 8 and header[12] == 0, f"{path}: expected 8 bits a sample, not interlaced"
    step = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    rows, line, raw = [], bytearray(width * step), zlib.decompress(packed)
    for row in range(height):
        start = row * (width * step + 1)
        filtered, previous, line = raw[start + 1:start + 1 + width * step], line, bytearray(width * step)
        for i, value in enumerate(filtered):
            left, above, corner = (line[i - step] if i >= step else 0), previous[i], (previous[i - step] if i >= step else 0)
            estimate = left + above - corner
            nearest = min((left, above, corner), key=lambda x: abs(estimate - x))
            line[i] = (value + (0, left, above, (left + above) // 2, nearest)[raw[start]]) & 255
        rows.append(line)
    return b"".join(rows)


def main():
    one, other = map(pathlib.Path, sys.argv[1:3])
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    names = sorted(path.relative_to(one) for path in one.rglob("*.png"))
    assert names, f"{one} has no PNG"
    worst = 0
    for name in names:
        difference = [abs(a - b) for a, b in zip(pixels(one / name), pixels(other / name), strict=True)]
        print(f"{name}: at most {max(difference)}, {sum(difference) / len(difference):.4f} in the mean")
        worst = max(worst, max(difference))
    sys.exit(worst > limit)


if __name__ == "__main__":
    main()

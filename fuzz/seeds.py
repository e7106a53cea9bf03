"""Writes what the fuzzers start from: small valid files of each kind, most of them kept elsewhere in the repository.

    python3 fuzz/seeds.py        # fuzz/corpus/<target>/seed-*

scripts/fuzz adds to the same folders what reaches code that nothing there reached before.
"""

import hashlib
import json
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests/fixtures"
LARGEST = 16 << 10


def seed(target, name, content):
    folder = ROOT / "fuzz/corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(content)


def safetensors(tensors, metadata):
    """`tensors` holds (name, dtype, bytes of an element, shape)."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, dtype, size, shape in tensors:
        count = size
        for side in shape:
            count *= side
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + count]}
        data += bytes(count)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def checkpoint(notes):
    identity = {"task": "anomaly embeddings", "base_model": "", "seed": 0, "config": {"steps": 3}}
    metadata = {
        "sha256": "0" * 64, "format": "anodiff checkpoint", "version": "1", "step": "3",
        "identity": json.dumps(identity), "notes": json.dumps(notes),
    }
    content = safetensors([("weight", "F32", 4, [2, 2]), ("moment", "F32", 4, [3])], metadata)
    digest = hashlib.sha256(content).hexdigest().encode()
    return content.replace(b"0" * 64, digest, 1)


def main():
    kinds = [("F32", 4), ("F16", 2), ("BF16", 2), ("I32", 4), ("I64", 8), ("U8", 1)]
    seed("safetensors", "all-types", safetensors([(f"a.{name}", name, size, [2, 3]) for name, size in kinds], {"format": "pt"}))
    seed("safetensors", "scalar-and-empty", safetensors([("scalar", "F32", 4, []), ("none", "F32", 4, [0, 4])], {}))
    seed("safetensors", "empty", safetensors([], {}))

    for path in sorted((ROOT / "weights/tiny").glob("*/*config.json")):
        seed("config", f"tiny-{path.parent.name}-{path.stem}", path.read_bytes())

    tiny = ROOT / "weights/tiny/tokenizer"
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + index) for index in range(68)]
    tokens = letters + [letter + "</w>" for letter in letters] + ["ph", "o</w>", "to</w>", "<|startoftext|>", "<|endoftext|>"]
    vocabulary = json.dumps({token: index for index, token in enumerate(tokens)}, ensure_ascii=False).encode()
    merges = b"#version: 0.2\np h\nt o</w>\n"
    seed("tokenizer", "three-files", b"\0".join([vocabulary, merges, (tiny / "tokenizer_config.json").read_bytes()]))
    seed("tokenizer", "two-files", b"\0".join([vocabulary, merges]))
    whole = {
        "version": "1.0",
        "added_tokens": [
            {"id": len(tokens) - 2 + index, "content": token, "normalized": bool(index), "special": True}
            for index, token in enumerate(tokens[-2:])
        ],
        "model": {
            "type": "BPE", "end_of_word_suffix": "</w>",
            "vocab": {token: index for index, token in enumerate(tokens)}, "merges": ["p h", ["t", "o</w>"]],
        },
    }
    seed("tokenizer", "one-file", json.dumps(whole, ensure_ascii=False).encode())

    for path in sorted((FIXTURES / "images").iterdir()):
        if path.stat().st_size <= LARGEST and "bicubic" not in path.name:
            seed("picture", path.name, path.read_bytes())

    for version in sorted((FIXTURES / "formats").iterdir()):
        seed("manifest", version.name, (version / "manifest.jsonl").read_bytes())
        for name in ("learned", "masks"):
            header = json.loads((version / f"{name}.json").read_text())
            for entry, text in header["__metadata__"].items():
                seed("learned", f"{version.name}-{name}-{entry}", text.encode())

    seed("checkpoint", "small", checkpoint({"loss": "0.5"}))

    # Two bytes for rows, columns and depth each, flags, gaps: one tile, an edge of one, several blocks, all terms.
    for rows, columns, depth, flags, gaps in [(14, 32, 384, 0, 0), (15, 33, 385, 0x0C, 0x15), (30, 66, 400, 0xFF, 0x2A), (1, 1, 1, 3, 0)]:
        seed("product", f"{rows}x{columns}x{depth}", struct.pack("<HHHBB", rows, columns, depth, flags, gaps))


if __name__ == "__main__":
    main()

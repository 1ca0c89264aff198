"""Renew assets/onnxruntime-web from an unpacked npm package.

    npm pack onnxruntime-web && tar xzf onnxruntime-web-*.tgz
    python tools/vendor_onnxruntime_web.py package

The licence's texts are those of the Python package onnxruntime, which npm's lacks.
"""

import hashlib
import importlib.util
import json
import lzma
import shutil
import sys
from pathlib import Path

ASSETS = Path(__file__).parents[1] / "src" / "endoforge" / "assets" / "onnxruntime-web"
SCRIPT, RUNTIME = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
"""The build that computes by WebAssembly alone: those with WebGPU are twice as large."""
TEXTS = ("LICENSE", "ThirdPartyNotices.txt")


def vendor(package: Path) -> None:
    """Take the files of `package`, the WebAssembly compressed, and note where they are from."""
    ASSETS.mkdir(exist_ok=True)
    script, runtime = ((package / "dist" / name).read_bytes() for name in (SCRIPT, RUNTIME))
    (ASSETS / SCRIPT).write_bytes(script)
    packed = lzma.compress(runtime, preset=9 | lzma.PRESET_EXTREME)
    (ASSETS / f"{RUNTIME}.xz").write_bytes(packed)
    origin = {
        "package": "onnxruntime-web",
        "version": json.loads((package / "package.json").read_text())["version"],
        "sha256": {
            name: hashlib.sha256(data).hexdigest()
            for name, data in ((SCRIPT, script), (RUNTIME, runtime))
        },
    }
    (ASSETS / "origin.json").write_text(json.dumps(origin, indent=2) + "\n")
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    for name in TEXTS:
        shutil.copyfile(Path(spec.origin).parent / name, ASSETS / name)


if __name__ == "__main__":
    vendor(Path(sys.argv[1]))

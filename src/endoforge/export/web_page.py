"""A detector as one HTML file, which detects in the browser and needs nothing beside it.

The page carries ONNX Runtime Web, the exported graph, and its own scripts (`static/`), and its
policy forbids it to ask anything of any host.
"""

import base64
import gzip
import hashlib
import json
import lzma
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from endoforge import __version__
from endoforge.core.reading import read_regular
from endoforge.core.text import printable
from endoforge.detect.decode import MAX_DETECTIONS
from endoforge.detect.neural import OBJECTNESS, NeuralDetector
from endoforge.detect.packaged import MOST_WEIGHTS_BYTES, packaged_weights

PAGE_SCRIPTS = ("unpacking.js", "detector.js", "stored.js", "stage.js", "clip.js", "main.js")
WORKER_SCRIPTS = ("resize.js", "worker.js")
"""Scripts of one context, which see each other's names: they go one after the other."""
POLICY = (
    "default-src 'none'; script-src 'sha256-{script}' 'wasm-unsafe-eval'; worker-src blob:; "
    "style-src 'sha256-{style}'; img-src data:; media-src blob:; connect-src 'none'; "
    "base-uri 'none'; form-action 'none'"
)
"""What the page may do; `connect-src` holds for its worker too."""


def build_page(graph: bytes, detector: NeuralDetector) -> bytes:
    """Make the page of an ONNX graph with NMS inside that was exported of `detector`."""
    style, script = _static("page.css"), _joined(PAGE_SCRIPTS)
    policy = POLICY.format(script=_digest(script), style=_digest(style))
    page = Template(_static("page.html")).substitute(
        policy=policy,
        title=escape(_name(detector)),
        style=style,
        script=script,
        score=f"{OBJECTNESS:g}",
        version=__version__,
        about=_list_of(_about(detector)),
        licence=escape(_runtime_file("LICENSE").decode()),
        # `</script>` within would end it, whatever JSON says.
        facts=json.dumps(_facts(detector)).replace("<", "\\u003c"),
        worker=_packed((_runtime_script() + _joined(WORKER_SCRIPTS)).encode()),
        runtime=_packed_runtime(),
        model=_packed(graph),
    )
    return page.encode()


def _facts(detector: NeuralDetector) -> dict[str, object]:
    """What the page's scripts know of the detector."""
    width, height = detector.metadata.input_size
    return {
        "name": _name(detector),
        "input": {"width": width, "height": height},
        "resize_mode": detector.metadata.resize_mode,
        "classes": detector.classes,
        "most_detections": MAX_DETECTIONS,
    }


def _name(detector: NeuralDetector) -> str:
    """How the page calls the weights."""
    packaged = detector.path == packaged_weights()
    return "EndoForge's own weights" if packaged else printable(detector.path.name)


def _about(detector: NeuralDetector) -> list[tuple[str, str]]:
    """What the page tells of the detector, as names and values."""
    width, height = detector.metadata.input_size
    return [
        ("Weights", _name(detector)),
        (
            "SHA-256 of the weights",
            hashlib.sha256(read_regular(detector.path, MOST_WEIGHTS_BYTES)).hexdigest(),
        ),
        ("Trained by EndoForge", detector.metadata.version),
        ("Input", f"{width}x{height}, {detector.metadata.resize_mode}"),
        ("Classes", ", ".join(map(printable, detector.classes))),
    ]


def _list_of(facts: Sequence[tuple[str, str]]) -> str:
    """Names and values as the inside of a list in HTML."""
    return "\n".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts)


def _static(name: str) -> str:
    return (files("endoforge.export") / "static" / name).read_text(encoding="utf-8")


def _joined(names: Sequence[str]) -> str:
    return "\n".join(map(_static, names))


def _runtime_file(name: str) -> bytes:
    return (files("endoforge") / "assets" / "onnxruntime-web" / name).read_bytes()


def _runtime_script() -> str:
    """ONNX Runtime Web's module as a plain script, with its exports as properties of `ort`.

    Of a page from disk, Chromium starts no worker that is a module.
    """
    module = _runtime_file("ort.wasm.bundle.min.mjs").decode()
    script, exports = re.split(r"export\{(?=[^}]*\};\s*//# sourceMappingURL)", module)
    named = re.findall(r"([\w$]+) as (\w+)", exports.partition("}")[0])
    properties = ",".join(f"{name}:{own}" for own, name in named)
    return f"{script.replace('import.meta.url', 'location.href')}const ort={{{properties}}};\n"


@cache
def _packed_runtime() -> str:
    """The WebAssembly for the page; kept, since compressing it anew takes a second."""
    return _packed(lzma.decompress(_runtime_file("ort-wasm-simd-threaded.wasm.xz")))


def _packed(data: bytes) -> str:
    """Bytes as base64 of gzip, which browsers unpack; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def _digest(text: str) -> str:
    """SHA-256 of a script or style as a Content-Security-Policy has it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

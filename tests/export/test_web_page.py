"""The page that detects in the browser: whole, of itself alone, and as its flags say."""

import base64
import gzip
import hashlib
import json
import lzma
import re
from html import unescape
from pathlib import Path

import pytest

import endoforge
from endoforge.core.errors import UserError
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights
from endoforge.export.config import ExportConfig
from endoforge.export.web_page import PAGE_SCRIPTS, WORKER_SCRIPTS, build_page

PACKAGE = Path(endoforge.__file__).parent
STATIC = PACKAGE / "export" / "static"
RUNTIME = PACKAGE / "assets" / "onnxruntime-web"
HOSTILE = '</script><script>alert("1")</script>'
GRAPH = b"any graph"


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """Weights whose class would end a script."""
    path = tmp_path_factory.mktemp("weights") / "a <b> & c.safetensors"
    model = TinyDetConfig(classes=("flat", HOSTILE))
    metadata = WeightsMetadata(model=model, input_size=(96, 64), resize_mode="force")
    save_weights(path, build_tinydet(model, seed=0).state_dict(), metadata)
    return NeuralDetector(path)


@pytest.fixture(scope="module")
def page(detector):
    return build_page(GRAPH, detector).decode()


def block(page: str, name: str) -> str:
    [text] = re.findall(rf'<script type="[^"]+" id="{name}">(.*?)</script>', page, re.DOTALL)
    return str(text)


def unpacked(page: str, name: str) -> bytes:
    return gzip.decompress(base64.b64decode(block(page, name), validate=True))


def test_the_page_carries_all_that_it_needs(page, detector):
    origin = json.loads((RUNTIME / "origin.json").read_text())
    runtime = unpacked(page, "runtime")
    name = "ort-wasm-simd-threaded.wasm"
    assert hashlib.sha256(runtime).hexdigest() == origin["sha256"][name]
    assert unpacked(page, "model") == GRAPH
    worker = unpacked(page, "worker").decode()
    assert f"ONNX Runtime Web v{origin['version']}" in worker
    assert worker.endswith((STATIC / WORKER_SCRIPTS[-1]).read_text())
    assert not re.search(r"import\.meta|\bexport\b|sourceMappingURL=o", worker)
    assert re.search(r"const ort=\{.*InferenceSession:\w+.*Tensor:\w+.*env:\w+", worker)
    facts = json.loads(block(page, "facts"))
    assert facts["classes"] == ["flat", HOSTILE]
    assert facts["input"] == {"width": 96, "height": 64}
    assert (facts["resize_mode"], facts["most_detections"]) == ("force", 100)
    assert hashlib.sha256(detector.path.read_bytes()).hexdigest() in page
    assert (RUNTIME / "LICENSE").read_text().split("\n\n")[-1].strip() in unescape(page)


def test_its_policy_allows_its_own_script_and_style_and_no_connection(page):
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["connect-src"] == rules["form-action"] == "'none'"
    assert not re.search(r"unsafe-(inline|eval)'", policy.replace("'wasm-unsafe-eval'", ""))
    for rule, pattern in {
        "script-src": r'<script type="module">(.*?)</script>',
        "style-src": r"<style>(.*?)</style>",
    }.items():
        [text] = re.findall(pattern, page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules[rule].split()
    assert page.index("Content-Security-Policy") < page.index("<link")


def test_names_are_text_and_nothing_else(page):
    assert HOSTILE not in page
    assert "alert" in unescape(page)
    assert "<title>Polyp detector: a &lt;b&gt; &amp; c.safetensors</title>" in page


def test_weights_of_the_package_are_called_so(detector, monkeypatch):
    monkeypatch.setattr("endoforge.export.web_page.packaged_weights", lambda: detector.path)
    page = build_page(GRAPH, detector).decode()
    assert "<title>Polyp detector: EndoForge's own weights</title>" in unescape(page)


def test_the_same_detector_gives_the_same_page(page, detector):
    assert build_page(GRAPH, detector).decode() == page


def test_every_script_is_used_and_finds_its_elements():
    assert {*PAGE_SCRIPTS, *WORKER_SCRIPTS} == {path.name for path in STATIC.glob("*.js")}
    scripts = "".join((STATIC / name).read_text() for name in PAGE_SCRIPTS)
    html = (STATIC / "page.html").read_text()
    asked = set(re.findall(r'byId\("([^"]+)"\)', scripts))
    assert len(asked) > 15
    assert {name for name in asked if f'id="{name}"' not in html} == set()
    assert not re.search(r"innerHTML|\beval\(|new Function|https?://", scripts)
    assert not re.search(r"\sstyle=|\son\w+=", html)


def test_the_runtime_is_what_its_package_has():
    origin = json.loads((RUNTIME / "origin.json").read_text())
    script = (RUNTIME / "ort.wasm.bundle.min.mjs").read_bytes()
    assert hashlib.sha256(script).hexdigest() == origin["sha256"]["ort.wasm.bundle.min.mjs"]
    packed = RUNTIME / "ort-wasm-simd-threaded.wasm.xz"
    assert lzma.decompress(packed.read_bytes())[:4] == b"\0asm"
    assert packed.stat().st_size < 3e6, "more than a wheel should carry"


def test_the_page_lies_beside_the_checkpoint_unless_told_otherwise():
    config = ExportConfig(checkpoint="a/b.safetensors", format="web")
    assert str(config.output_path) == "a/b.html"
    assert str(ExportConfig(output="c.htm", format="web").output_path) == "c.htm"
    with pytest.raises(UserError, match="--nms outside is for --format onnx"):
        ExportConfig(format="web", nms="outside")
    with pytest.raises(UserError, match="--format"):
        ExportConfig(format="pdf")  # type: ignore[arg-type]

"""Which process tests a file where several test side by side."""

from xdist.scheduler import LoadFileScheduling

TOGETHER = (
    ("tests/backends/webgpu/", "tests/train/test_webgpu.py"),
    ("tests/export/", "tests/docs/test_inference.py"),
)
"""How files begin that need the same: a net's step compiled for WebGPU, most of a minute, and a net
traced by PyTorch's exporter. A process has it once."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """As `--dist loadfile`, but files that are TOGETHER go to the same process."""

    def _split_scope(self, nodeid: str) -> str:
        for starts in TOGETHER:
            if nodeid.startswith(starts):
                return starts[0]
        file: str = super()._split_scope(nodeid)
        return file

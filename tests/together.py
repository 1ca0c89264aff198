"""Which process tests a file where several test side by side."""

from xdist.scheduler import LoadFileScheduling

ALIKE = ("tests/backends/webgpu/", "tests/train/test_webgpu.py")
"""They compile the same net's step for WebGPU, which takes most of a minute; a process keeps it."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """As `--dist loadfile`, but all files that are ALIKE go to the same process."""

    def _split_scope(self, nodeid: str) -> str:
        return ALIKE[0] if nodeid.startswith(ALIKE) else super()._split_scope(nodeid)

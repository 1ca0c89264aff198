"""Makes of `--backend webgpu` what `backends.compute` wants."""

import torch

from endoforge.backends.base import Backend
from endoforge.backends.group import Group
from endoforge.backends.webgpu.adapters import pick_adapter
from endoforge.core.errors import UserError
from endoforge.detect.predict import Net
from endoforge.detect.tinydet import TinyDet, TinyDetConfig


class WebGpuCompute:
    """The adapter that is wished for, open to train or to detect on."""

    torch_device = torch.device("cpu")

    def __init__(self, words: str | None) -> None:
        """Open the adapter that `words` of `--adapter` wish for; UserError if there is none."""
        self._adapter = pick_adapter(words)
        from endoforge.backends.webgpu.runtime import open_device

        open_device(self._adapter)

    @property
    def on_cpu(self) -> bool:
        return self._adapter.is_software

    def describe(self) -> str:
        return f"webgpu, {self._adapter}"

    def backend(
        self,
        model_config: TinyDetConfig,
        *,
        seed: int,
        batch_size: int,  # noqa: ARG002 - every size is compiled alike
        group: Group,
        painted: float = 0.0,
        muon: bool = True,
    ) -> Backend:
        if group.size > 1:
            raise UserError("--backend webgpu trains in one process: start it without torchrun")
        from endoforge.backends.webgpu.backend import WebGpuBackend

        return WebGpuBackend(
            model_config, seed=seed, adapter=self._adapter, painted=painted, muon=muon
        )

    def net(self, model: TinyDet) -> Net:
        from endoforge.backends.webgpu.compiled_net import net_of

        return net_of(model)

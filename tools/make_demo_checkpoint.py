"""Write the weights that come with EndoForge, with what made them in their metadata.

    python tools/make_demo_checkpoint.py checkpoints/tinydet_best.safetensors \\
        --command "endoforge train --simulate ..." --seed 1 --note "simulated frames alone"

Weights are kept in float32 if the file is then at most 2 MB, else in float16. The file is read back
as every command reads it, and what rounding changed of the raw output is printed.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from endoforge.core.files import write_atomic
from endoforge.detect.packaged import PROVENANCE_KEY, Provenance, location
from endoforge.detect.weights import METADATA_KEY, load_weights

MOST_BYTES = 2_000_000


def packed(source: Path, provenance: Provenance) -> bytes:
    """The file for the weights of `source`; raises ValueError if it is too large in float16 too."""
    with safetensors.safe_open(source, framework="pt") as file:
        text = file.metadata()[METADATA_KEY]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata = {METADATA_KEY: text, PROVENANCE_KEY: provenance.to_json()}
    for dtype in (torch.float32, torch.float16):
        cast = {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()
        }
        data = safetensors.torch.save(cast, metadata)
        if len(data) <= MOST_BYTES:
            return data
    raise ValueError(f"{source}: {len(data):,} bytes in float16, more than {MOST_BYTES:,}")


def largest_change(one: Path, other: Path) -> float:
    """Of the raw outputs of two files of weights, on noise of their input's size."""
    (first, metadata), (second, _) = load_weights(one), load_weights(other)
    width, height = metadata.input_size
    images = torch.rand(4, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return float((first(images) - second(images)).abs().max())


def head_commit() -> str:
    """The commit that is checked out; exits where that isn't all of the sources."""
    git = ["git", "-C", str(Path(__file__).parent)]
    changed = subprocess.run(
        [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
    )
    if changed.returncode or changed.stdout.strip():
        sys.exit("sources differ from the last commit: commit them, or name --commit")
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return head.stdout.strip()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="weights that `train` wrote")
    parser.add_argument("--command", required=True, help="that made them")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--commit", help="that made them (default: the one checked out)")
    parser.add_argument("--note", default="", help="what else there is to know")
    parser.add_argument("--output", type=Path, help="default: where the package looks for it")
    args = parser.parse_args(argv)
    provenance = Provenance(
        command=args.command,
        seed=args.seed,
        commit=args.commit or head_commit(),
        note=args.note,
    )
    output: Path = args.output or location()
    data = packed(args.source, provenance)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(output, data, sync=True)
    change = largest_change(args.source, output)
    print(f"{output}: {len(data):,} bytes, raw output within {change:.2g} of {args.source}")
    print(provenance)


if __name__ == "__main__":
    main()

"""`endoforge`, computing in float32 on every CPU.

Where a CPU computes in bfloat16, processes that share a batch out round so differently from one
alone that no comparison could find a mistake.
"""

from endoforge.backends import torch_backend
from endoforge.cli import main

if __name__ == "__main__":
    torch_backend._has_bfloat16 = lambda _: False
    main()

"""`endoforge`, computing in float32 on every CPU; with few runs if the environment says so.

Where a CPU computes in bfloat16, processes that share a batch out round so differently from one
alone that no comparison could find a mistake.
"""

if __name__ == "__main__":  # all of it: processes that it spawns import this file
    import os
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[2]))

    from endoforge.backends import torch_backend
    from endoforge.cli import main
    from tests.train.few_runs import FEW_RUNS, few_runs

    torch_backend._has_bfloat16 = lambda device: False  # noqa: ARG005 - its name
    if FEW_RUNS in os.environ:
        few_runs(setattr)
    main()

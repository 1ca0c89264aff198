"""`endoforge` as the fixture `comparable` has it; with few runs if the environment says so."""

if __name__ == "__main__":  # all of it: processes that it spawns import this file
    import os
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[2]))

    from endoforge.cli import main
    from tests.train.few_runs import FEW_RUNS, few_runs
    from tests.train.processes import make_comparable

    make_comparable(setattr)
    if FEW_RUNS in os.environ:
        few_runs(setattr)
    main()

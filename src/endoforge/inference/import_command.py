"""The `import` command: labels as they came, or those of a detector."""

from typing import TYPE_CHECKING

from endoforge.formats.importing import import_or_label
from endoforge.formats.runs import ImportReport
from endoforge.formats.video_labels import VideoLabelsReport
from endoforge.inference.config import ImportCommandConfig

if TYPE_CHECKING:
    from endoforge.inference.predicted_runs import PredictedReport


def run_import_command(
    config: ImportCommandConfig,
) -> "ImportReport | VideoLabelsReport | PredictedReport":
    """Write the runs that `config` describes; raises what `import_or_label` raises."""
    if not config.prelabel:
        return import_or_label(config)
    from endoforge.inference.predicted_runs import write_predicted_runs  # torch takes its time

    return write_predicted_runs(config.detecting, "--output-root")

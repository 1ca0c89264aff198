"""The `import` command: labels as they came, or those of a detector."""

from endoforge.formats.importing import import_or_label
from endoforge.formats.runs import ImportReport
from endoforge.formats.video_labels import VideoLabelsReport
from endoforge.inference.config import ImportCommandConfig
from endoforge.inference.predicted_runs import PredictedReport, write_predicted_runs


def run_import_command(
    config: ImportCommandConfig,
) -> ImportReport | VideoLabelsReport | PredictedReport:
    """Write the runs that `config` describes; raises what `import_or_label` raises."""
    if config.prelabel:
        return write_predicted_runs(config.detecting, "--output-root")
    return import_or_label(config)

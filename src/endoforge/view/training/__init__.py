"""The training tab: how a training goes, the capture runs, and the jobs that make both."""

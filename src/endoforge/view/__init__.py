"""The live simulator in the browser: a world that is flown through, and pages that watch it."""

"""The pictures of gallery.md: what is staged (`sheets`), taken (`studio`) and laid out (`layout`)."""

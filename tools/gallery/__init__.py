"""The pictures of gallery.md: staged by `sheets`, taken by `studio`, laid out by `layout`."""

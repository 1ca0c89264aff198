"""Other tools' data sets: into capture runs (`import`), and out of them (`convert`)."""

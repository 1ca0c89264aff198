"""How fast things are here: what `endoforge bench` and the files of benchmarks/ measure."""

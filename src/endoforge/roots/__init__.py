"""Roots: folders of this machine, or addresses of object storage, worked on in folders."""

"""Roots as outputs, tried before work begins."""

from pathlib import Path

from endoforge.core.errors import UserError
from endoforge.core.outputs import check_output_folder
from endoforge.roots.bucket import Bucket
from endoforge.roots.places import cloud_root


def check_output_root(flag: str, given: str | Path) -> Bucket | None:
    """The bucket of an address that can be written to; None for a folder that can.

    Raises UserError, which names `flag`, for one that can't, be it for lack of a bucket, of
    credentials or of the right to write.
    """
    root = cloud_root(given)
    if root is None:
        check_output_folder(flag, given)
        return None
    bucket = Bucket(root, flag)
    bucket.check_writable()
    try:
        check_output_folder(flag, root.outgoing)
    except UserError as error:
        raise UserError(f"{error} (there it is made before it is put to {root})") from error
    return bucket

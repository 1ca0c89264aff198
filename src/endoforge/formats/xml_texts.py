"""XML of files that somebody else may have made, in the encoding that they declare."""

import codecs
import re
from xml.etree import ElementTree

from endoforge.core.text import decode_text

DECLARATION = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]+)["']""")
WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932"}
"""Encodings that programs declare and then go beyond."""
SLOW = ("idna", "punycode")
"""Codecs of names of hosts, which take the square of a text's length."""


def parse_xml(data: bytes) -> ElementTree.Element:
    """The root of an XML text; raises ValueError if it is none, or of an unknown encoding.

    So does one that defines entities, which may grow without end.
    """
    try:
        text = _decoded(data).lstrip()
        if "<!ENTITY" in text:
            raise ValueError("it defines entities")
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, LookupError) as error:
        raise ValueError(str(error)) from error


def _decoded(data: bytes) -> str:
    """Text in the encoding that the XML declares; one without, or of UTF-16, shows it itself.

    Raises LookupError for an encoding that Python doesn't know, ValueError if it isn't that one.
    """
    declared = DECLARATION.match(data)
    name = declared[1].decode("ascii").lower() if declared else ""
    # What can be read byte by byte isn't UTF-16, whatever a program declared before saving it.
    if not declared or name.startswith(("utf-16", "utf16", "utf-32", "ucs", "iso-10646")):
        return decode_text(data)
    codec = codecs.lookup(WIDER.get(name, name)).name
    if codec in SLOW:
        raise LookupError(f"not an encoding of texts: {codec}")
    return data.decode(codec)

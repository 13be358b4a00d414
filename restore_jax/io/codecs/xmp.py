"""XMP packets: what they claim of other files kept with a photograph, changed where those files change.

A packet that nothing has to be changed in is given back byte for byte.
"""

import contextlib
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from xml.dom import minidom
from xml.parsers.expat import ExpatError

_GOOGLE = "http://ns.google.com/photos/"  # camera, container, item, depth map: each of several versions
_GAIN = ("http://ns.adobe.com/hdr-gain-map/", "http://ns.apple.com/HDRGainMap/")
_OPPO = "http://ns.oplus.com/photos/"
_FILM = ("MicroVideo", "MotionPhoto")  # how the names of Google's camera begin
KINDS = {"GainMap": "gain map", "MotionPhoto": "film", "Depth": "depth map"}  # of the container's meanings


class Claim(NamedTuple):
    """A file that the packet says follows the picture. kind: as in KINDS, else the packet's word. length: bytes."""

    kind: str
    length: int


def upright(packet: bytes) -> bytes:
    """Return the packet with its orientation, attribute or element, set to 1."""
    return re.sub(rb"""(tiff:Orientation(?:=["']|>))[2-8](?=["'<])""", rb"\g<1>1", packet)


def claims(packet: bytes | None) -> tuple[int, list[Claim]]:
    """Return (bytes of padding behind the picture, files that follow in order).

    A film of old is the only one, at the end.
    """
    tree = _parsed(packet)
    if tree is None:
        return 0, []
    padding, found = 0, []
    for item in _items(tree):
        said = {name: _value(item, name) for name in ("Semantic", "Mime", "Length", "Padding", "DataURI")}
        if said["Semantic"] == "Primary" or said["DataURI"] == "primary_image":
            padding = _whole(said["Padding"])
            continue
        kind = said["Semantic"] or said["DataURI"].rpartition("/")[2] or said["Mime"]
        found.append(Claim(_kind(kind), _whole(said["Length"])))
    if not found and (offset := _whole(_anywhere(tree, "MicroVideoOffset"))):
        found = [Claim("film", offset)]
    return padding, found


def extended(packet: bytes | None) -> bool:
    """Return whether the packet says that it goes on in other segments."""
    return b"HasExtendedXMP" in (packet or b"")


def without(packet: bytes, kinds: Collection[str]) -> bytes:
    """Return the packet without claims of these kinds: "extended" XMP, and those that `claims` names."""
    tree = _parsed(packet)
    if tree is None:
        return packet
    changed = False
    for node in list(_elements(tree)):
        for attribute in list(node.attributes.values()):
            if _claims_kind(attribute, kinds):
                node.removeAttributeNode(attribute)
                changed = True
        if node.parentNode is not None and _claims_kind(node, kinds):
            node.parentNode.removeChild(node)
            changed = True
    for item in list(_items(tree)):
        name = _value(item, "Semantic") or _value(item, "DataURI").rpartition("/")[2] or _value(item, "Mime")
        if _kind(name) in kinds:
            entry = item if item.localName == "li" or item.parentNode.localName != "li" else item.parentNode
            entry.parentNode.removeChild(entry)
            changed = True
    for directory in [node for node in _elements(tree) if node.localName == "Directory" and _is(node, _GOOGLE)]:
        items = list(_items(directory))
        if changed and len(items) < 2:  # the picture itself
            directory.parentNode.removeChild(directory)
    if changed:
        _drop_prefixes(tree)
    return _text(tree) if changed else packet


def _drop_prefixes(tree: Any) -> None:
    """Take away declarations of prefixes that only claims of other files used."""
    nodes = [attribute for node in _elements(tree) for attribute in node.attributes.values()]
    used = {node.prefix for node in [*_elements(tree), *nodes]}
    for node in _elements(tree):
        for attribute in list(node.attributes.values()):
            declares = attribute.name.startswith("xmlns:") and attribute.value.startswith((_GOOGLE, _OPPO, *_GAIN))
            if declares and attribute.localName not in used:
                node.removeAttributeNode(attribute)


def with_lengths(packet: bytes, lengths: Mapping[str, int]) -> bytes:
    """Return the packet with other lengths in bytes of the files of these kinds, and no padding behind the picture."""
    tree = _parsed(packet)
    if tree is None:
        return packet
    changed = False
    for item in _items(tree):
        kind = _kind(_value(item, "Semantic") or _value(item, "DataURI").rpartition("/")[2] or _value(item, "Mime"))
        wanted = {"Length": lengths[kind]} if kind in lengths else {}
        for name, number in {**wanted, "Padding": 0}.items():
            if _value(item, name) not in ("", str(number)):
                _set(item, name, str(number))
                changed = True
    return _text(tree) if changed else packet


def _set(item: Any, name: str, text: str) -> None:
    for attribute in item.attributes.values():
        if attribute.localName == name:
            attribute.value = text
    for child in item.getElementsByTagName("*"):
        if child.localName == name and child.firstChild is not None:
            child.firstChild.data = text


def _parsed(packet: bytes | None) -> Any:
    with contextlib.suppress(ExpatError, ValueError, LookupError):
        if packet and b"<!" not in packet:  # no XMP declares entities
            return minidom.parseString(packet.strip(b"\0 \r\n\t\xef\xbb\xbf"))
    return None


def _text(tree: Any) -> bytes:
    return "".join(node.toxml() for node in tree.childNodes).encode()


def _elements(tree: Any) -> list:
    return tree.getElementsByTagName("*")


def _items(tree: Any) -> list:
    """Return the elements that describe one file each: Container:Item, or a list entry that holds the fields itself."""
    return [node for node in _elements(tree) if node.localName == "Item" and _is(node, _GOOGLE)]


def _is(node: Any, *spaces: str) -> bool:
    return (node.namespaceURI or "").startswith(spaces)


def _value(item: Any, name: str) -> str:
    for attribute in item.attributes.values():
        if attribute.localName == name:
            return attribute.value
    for child in item.getElementsByTagName("*"):
        if child.localName == name and child.firstChild is not None and child.firstChild.nodeType == child.TEXT_NODE:
            return child.firstChild.data.strip()
    return ""


def _anywhere(tree: Any, name: str) -> str:
    for node in _elements(tree):
        if node.localName == name and node.firstChild is not None:
            return node.firstChild.nodeValue or ""
        for attribute in node.attributes.values():
            if attribute.localName == name:
                return attribute.value
    return ""


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 12 else 0


def _kind(name: str) -> str:
    known = {**KINDS, "RecoveryMap": "gain map", "depthmap": "depth map", "video/mp4": "film"}
    return known.get(name, name)


def _claims_kind(node: Any, kinds: Collection[str]) -> bool:
    if node.localName is None or node.namespaceURI == "http://www.w3.org/2000/xmlns/":
        return False
    if _is(node, *_GAIN):
        return "gain map" in kinds
    if _is(node, _OPPO):
        return "film" in kinds
    if node.localName == "HasExtendedXMP":
        return "extended" in kinds
    if _is(node, _GOOGLE + "1.0/camera"):
        return "film" in kinds and node.localName.startswith(_FILM)
    return _is(node, _GOOGLE + "1.0/depthmap", _GOOGLE + "1.0/image") and "extended" in kinds

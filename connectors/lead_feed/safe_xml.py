"""XML from outside, read so that no document can harm whoever reads it.

Refused while they are read, before any of it is built up: document types (and with them entities of every kind, so
"billion laughs" and external references), depth, number of elements, long texts, many attributes, encodings that
are not expected. What the whole document may weigh is bounded by whoever fetches it.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, XMLParser

#: By the name in the declaration. GBK and GB2312 are read as what contains them; UTF-16 shows itself by its mark.
_CODECS = {"utf-8": "utf-8", "utf8": "utf-8", "gb18030": "gb18030", "gbk": "gb18030", "gb2312": "gb18030"}
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([^"'>]{1,40})["']""")
_MAX_ATTRIBUTES = 20


class Bounds(NamedTuple):
    """What a document may have. A task has four levels and some forty elements."""

    depth: int = 16
    elements: int = 1000
    text: int = 100_000


class UnreadableError(Exception):
    """A document that cannot be taken: a word for counting, what is wrong, what would be right."""

    def __init__(self, code: str, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.code, self.problem, self.remedy = code, problem, remedy


def read_xml(data: bytes, bounds: Bounds) -> Element:
    """The document's root; names without their namespaces.

    :raises UnreadableError: for what is refused, and what is no XML. Nothing is quoted but numbers.
    """
    text = _decode(data)
    # Of expat's own guess nothing is left: what it gets is text.
    parser = XMLParser(target=_Guard(bounds), forbid_dtd=True)
    try:
        parser.feed(text)
        root = parser.close()
    except DefusedXmlException:
        raise UnreadableError(
            "xml-doctype", "XML 中有 DOCTYPE（文档类型、实体或外部引用），不予解析", "请发送不含 DOCTYPE 的 XML"
        ) from None
    except ParseError as error:
        line, column = getattr(error, "position", (0, 0))
        raise UnreadableError(
            "xml-malformed", f"XML 格式错误：第 {line} 行第 {column + 1} 列", "请发送格式正确的 XML"
        ) from None
    assert isinstance(root, Element)
    return root


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        codec = "utf-16"
    elif data.startswith(b"\xef\xbb\xbf"):
        codec = "utf-8-sig"
    else:
        found = _DECLARED.match(data[:400])
        name = found[1].decode("latin-1").strip().lower() if found else "utf-8"
        if name not in _CODECS:
            raise UnreadableError(
                "xml-encoding", f"XML 声明的编码不支持：{ascii(name)[:40]}", "编码应为 UTF-8 或 GB18030"
            )
        codec = _CODECS[name]
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        shown = codec.removesuffix("-sig")
        raise UnreadableError(
            "xml-encoding", f"内容不是 {shown} 编码：第 {error.start + 1} 个字节", "编码应与 XML 声明一致"
        ) from None


class _Guard:
    """What the parser tells; builds the tree as long as it stays within bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._builder = TreeBuilder()
        self._depth = self._elements = self._text = 0

    def start(self, tag: str, attributes: dict[str, str]) -> Any:
        self._depth += 1
        self._elements += 1
        self._text = 0
        bounds = self._bounds
        if self._depth > bounds.depth:
            raise UnreadableError("xml-depth", f"XML 嵌套过深，超过 {bounds.depth} 层", f"最多 {bounds.depth} 层")
        if self._elements > bounds.elements:
            raise UnreadableError(
                "xml-elements", f"XML 元素过多，超过 {bounds.elements} 个", "请减少每页任务数或元素数"
            )
        if len(attributes) > _MAX_ATTRIBUTES or sum(map(len, attributes.values())) > bounds.text:
            raise UnreadableError("xml-attributes", "XML 元素的属性过多或过长", f"最多 {_MAX_ATTRIBUTES} 个属性")
        return self._builder.start(tag.rpartition("}")[2], attributes)

    def end(self, tag: str) -> Any:
        self._depth -= 1
        self._text = 0
        return self._builder.end(tag.rpartition("}")[2])

    def data(self, text: str) -> None:
        self._text += len(text)
        if self._text > self._bounds.text:
            raise UnreadableError(
                "xml-text", f"XML 中有过长的文本，超过 {self._bounds.text} 个字符", f"最多 {self._bounds.text} 个字符"
            )
        self._builder.data(text)

    def close(self) -> Element:
        return self._builder.close()

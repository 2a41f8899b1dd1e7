"""Drawings as SVG inside a page: text stays text, and every mark can say what it is."""

from xml.etree import ElementTree

from markupsafe import Markup

__all__ = ["Drawing"]


def _attribute(value) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


class Drawing:
    """An SVG that grows mark by mark.

    Parameters
    ----------
    width, height : float
        Of the coordinates; the page scales them to its own width.
    label : str
        What it shows, for those who do not see it.
    """

    def __init__(self, width: float, height: float, label: str):
        self.root = self._element("svg", viewBox=f"0 0 {_attribute(width)} {_attribute(height)}")
        self.root.attrib |= {"role": "img", "aria-label": label}

    def _element(self, name: str, /, **attributes):
        names = {key: key.rstrip("_").replace("_", "-") for key in attributes}
        return ElementTree.Element(
            name, {names[key]: _attribute(value) for key, value in attributes.items()}
        )

    def add(self, name: str, /, *, text="", title="", parent=None, **attributes):
        """Add a mark; return it.

        Parameters
        ----------
        name : str
            Of the element.
        text : str
        title : str
            What the pointer is told.
        parent : Element or None
            A group.
        attributes
            `class_` for class, `stroke_width` for stroke-width.
        """
        mark = self._element(name, **attributes)
        (self.root if parent is None else parent).append(mark)
        if title:
            ElementTree.SubElement(mark, "title").text = title
        if text:
            mark.text = text
        return mark

    def markup(self) -> Markup:
        """Return it as a template takes it."""
        return Markup(ElementTree.tostring(self.root, encoding="unicode"))

"""Pages of HTML that need nothing else, from the templates beside this file; they share one style: light and dark, print and phone."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from tasks.wording import power_of_ten


@dataclass(frozen=True)
class Figure:
    """One of the large numbers at the head of a page."""

    name: str
    value: str
    unit: str
    detail: str


def sized(name: str, size: str, detail: str) -> Figure:
    """The figure of a size with its unit, such as 1.50 GiB."""
    value, _, unit = size.partition(" ")
    return Figure(name, value, unit, detail)


@cache
def page(name: str) -> Template:
    """The template of a page."""
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["power_of_ten"] = power_of_ten
    return environment.get_template(name)

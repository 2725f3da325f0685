"""Filling the templates of this package, with every value escaped unless it is our own markup."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from stitchable.units import format_count, format_points


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("stitchable.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = format_count
    environment.filters["points"] = format_points
    return environment


def render(template: str, **values: object) -> str:
    """Fill the template called ``template`` with ``values``; a missing value is an error."""
    return _environment().get_template(template).render(**values)

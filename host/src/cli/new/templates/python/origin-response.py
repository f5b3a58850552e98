"""Gives responses that say nothing of their freshness a lifetime, before they are stored."""

from wit_world import exports
from wit_world.imports import config, log
from wit_world.imports.types import Edit_Set, Field


def set_field(name, value):
    return Edit_Set(Field(name, value.encode()))


class OriginResponse(exports.OriginResponse):
    """Runs for each response of an origin, before it is stored: what it changes is stored."""

    def handle(self, request, response):
        if response.get("cache-control") or not 200 <= response.status() <= 299:
            return
        lifetime = config.get("lifetime") or "60"
        path = request.target().path_and_query
        log.write(log.Level.DEBUG, f"{path} is fresh for {lifetime} s")
        response.apply([set_field("cache-control", f"max-age={lifetime}")])

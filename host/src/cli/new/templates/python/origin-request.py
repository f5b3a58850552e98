"""Tells the origin which edge asks, and takes away what it need not know."""

from wit_world import exports
from wit_world.exports.origin_request import Verdict_Next
from wit_world.imports import config, log
from wit_world.imports.types import Edit_Remove, Edit_Set, Field


def set_field(name, value):
    return Edit_Set(Field(name, value.encode()))


class OriginRequest(exports.OriginRequest):
    """Runs for each request that goes to an origin: on misses, not on hits."""

    def handle(self, request):
        log.write(log.Level.DEBUG, f"asking the origin for {request.target().path_and_query}")
        edge = config.get("edge") or "verge"
        request.apply([set_field("x-edge", edge), Edit_Remove("x-debug")])
        return Verdict_Next()

"""Greets at `/hello`, and lets every other request go on to the cache and the origin."""

from wit_world import exports
from wit_world.exports.viewer_request import Verdict_Next, Verdict_Respond
from wit_world.imports import config, log
from wit_world.imports.types import Edit_Set, Field, Response


def set_field(name, value):
    return Edit_Set(Field(name, value.encode()))


class ViewerRequest(exports.ViewerRequest):
    """Runs for each request, before the cache is asked."""

    def handle(self, request):
        path, _, query = request.target().path_and_query.partition("?")
        if path != "/hello":
            return Verdict_Next()
        greeting = config.get("greeting") or "Hello"
        name = query or "world"
        log.write(log.Level.INFO, f"greeting {name}")
        response = Response(200)
        response.apply([set_field("content-type", "text/plain; charset=utf-8")])
        response.set_body(f"{greeting}, {name}!\n".encode())
        return Verdict_Respond(response)

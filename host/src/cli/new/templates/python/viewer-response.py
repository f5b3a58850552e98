"""Adds fields to every response on its way to the client, and takes away what gives the server away."""

from wit_world import exports
from wit_world.imports import config, log
from wit_world.imports.types import Edit_Remove, Edit_Set, Field


def set_field(name, value):
    return Edit_Set(Field(name, value.encode()))


class ViewerResponse(exports.ViewerResponse):
    """Runs for each response before it is sent, cache hits too."""

    def handle(self, request, response):
        log.write(log.Level.DEBUG, f"protecting {request.target().path_and_query}")
        policy = config.get("referrer-policy") or "same-origin"
        response.apply(
            [
                set_field("x-content-type-options", "nosniff"),
                set_field("referrer-policy", policy),
                Edit_Remove("server"),
            ]
        )

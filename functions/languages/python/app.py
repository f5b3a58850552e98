"""Reads the field `x-name` and answers JSON at `/hello`; every other request goes on."""

import json

from wit_world import exports
from wit_world.exports.viewer_request import Verdict_Next, Verdict_Respond
from wit_world.imports.types import Edit_Set, Field, Response


class ViewerRequest(exports.ViewerRequest):
    """Runs for each request, before the cache is asked."""

    def handle(self, request):
        if request.target().path_and_query != "/hello":
            return Verdict_Next()
        name = request.get("x-name")
        greeting = {"language": "Python", "hello": "world" if name is None else name.decode()}
        response = Response(200)
        response.apply([Edit_Set(Field("content-type", b"application/json"))])
        # Without spaces, as the other languages write it.
        response.set_body(f"{json.dumps(greeting, separators=(',', ':'))}\n".encode())
        return Verdict_Respond(response)

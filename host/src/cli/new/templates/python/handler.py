"""A standard `wasi:http` 0.2 component: it answers in place of an origin, here and under every
other host of such components."""

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import Fields, OutgoingBody, OutgoingResponse, ResponseOutparam

# How many bytes a host takes at once.
PIECE = 4096


def greeting(path):
    # The path is text for a terminal or a page: nothing in it is shown as anything else.
    path = "".join(letter for letter in path if letter.isprintable())
    return f"Hello from {{name}}! You asked for {path}.\n"


class IncomingHandler(exports.IncomingHandler):
    """Answers each request."""

    def handle(self, request, response_out):
        text = greeting(request.path_with_query() or "/").encode()
        fields = Fields.from_list([("content-type", b"text/plain; charset=utf-8")])
        response = OutgoingResponse(fields)
        body = response.body()
        # The head is on its way before the first byte of content is.
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as output:
            for at in range(0, len(text), PIECE):
                output.blocking_write_and_flush(text[at : at + PIECE])
        # Without `finish` the response stays incomplete, which is what a failure is.
        OutgoingBody.finish(body, None)

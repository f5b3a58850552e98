"""A standard `wasi:http` 0.3 middleware: it runs around the cache or around an origin, here and
under every other host of such components."""

import wit_world
from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import handler
from wit_world.imports.wasi_http_types import Fields, Response

# The field that responses get, and what it says.
FIELD = ("x-served-by", "{{name}}")


def is_allowed(path):
    """Whether a request goes on to what is behind."""
    return not path.startswith("/private/")


def no_trailers():
    new = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future
    return new(lambda: Ok(None))[1]


def received():
    return wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))[1]


class Handler(exports.Handler):
    """Sees each request, and each response."""

    async def handle(self, request):
        if not is_allowed(request.get_path_with_query() or "/"):
            response, _ = Response.new(Fields(), None, no_trailers())
            response.set_status_code(403)
            return response
        response = await handler.handle(request)
        status = response.get_status_code()
        fields = response.get_headers().clone()
        name, value = FIELD
        fields.append(name, value.encode())
        # The content is handed on as it is: it never enters this component's memory.
        content, trailers = Response.consume_body(response, received())
        response, _ = Response.new(fields, content, trailers)
        response.set_status_code(status)
        return response

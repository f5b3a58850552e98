// Reads the field `x-name` and answers JSON at `/hello`; every other request goes on.
import { Response } from "verge:edge/types@0.1.0";

const bytes = (text) => new TextEncoder().encode(text);
const text = (bytes) => new TextDecoder().decode(bytes);

export const viewerRequest = {
  handle(request) {
    if (request.target().pathAndQuery !== "/hello") return { tag: "next" };
    const name = request.get("x-name");
    const greeting = { language: "JavaScript", hello: name === undefined ? "world" : text(name) };
    const response = new Response(200);
    const type = { name: "content-type", value: bytes("application/json") };
    response.apply([{ tag: "set", val: type }]);
    response.setBody(bytes(`${JSON.stringify(greeting)}\n`));
    return { tag: "respond", val: response };
  },
};

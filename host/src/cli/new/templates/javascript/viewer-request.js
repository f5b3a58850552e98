// Greets at `/hello`, and lets every other request go on to the cache and the origin.
import { get } from "verge:edge/config@0.1.0";
import { write } from "verge:edge/log@0.1.0";
import { Response } from "verge:edge/types@0.1.0";

const bytes = (text) => new TextEncoder().encode(text);
const set = (name, value) => ({ tag: "set", val: { name, value: bytes(value) } });

// Runs for each request, before the cache is asked.
export const viewerRequest = {
  handle(request) {
    const [path, name = "world"] = request.target().pathAndQuery.split("?");
    if (path !== "/hello") return { tag: "next" };
    const greeting = get("greeting") ?? "Hello";
    write("info", `greeting ${name}`);
    const response = new Response(200);
    response.apply([set("content-type", "text/plain; charset=utf-8")]);
    response.setBody(bytes(`${greeting}, ${name}!\n`));
    return { tag: "respond", val: response };
  },
};

// Tells the origin which edge asks, and takes away what it need not know.
import { get } from "verge:edge/config@0.1.0";
import { write } from "verge:edge/log@0.1.0";

const bytes = (text) => new TextEncoder().encode(text);
const set = (name, value) => ({ tag: "set", val: { name, value: bytes(value) } });

// Runs for each request that goes to an origin: on misses, not on hits.
export const originRequest = {
  handle(request) {
    write("debug", `asking the origin for ${request.target().pathAndQuery}`);
    request.apply([set("x-edge", get("edge") ?? "verge"), { tag: "remove", val: "x-debug" }]);
    return { tag: "next" };
  },
};

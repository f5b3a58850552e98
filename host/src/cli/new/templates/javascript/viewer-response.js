// Adds fields to every response on its way to the client, and takes away what gives the server away.
import { get } from "verge:edge/config@0.1.0";
import { write } from "verge:edge/log@0.1.0";

const bytes = (text) => new TextEncoder().encode(text);
const set = (name, value) => ({ tag: "set", val: { name, value: bytes(value) } });

// Runs for each response before it is sent, cache hits too.
export const viewerResponse = {
  handle(request, response) {
    write("debug", `protecting ${request.target().pathAndQuery}`);
    response.apply([
      set("x-content-type-options", "nosniff"),
      set("referrer-policy", get("referrer-policy") ?? "same-origin"),
      { tag: "remove", val: "server" },
    ]);
  },
};

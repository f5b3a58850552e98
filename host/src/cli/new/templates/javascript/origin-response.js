// Gives responses that say nothing of their freshness a lifetime, before they are stored.
import { get } from "verge:edge/config@0.1.0";
import { write } from "verge:edge/log@0.1.0";

const bytes = (text) => new TextEncoder().encode(text);
const set = (name, value) => ({ tag: "set", val: { name, value: bytes(value) } });

// Runs for each response of an origin, before it is stored: what it changes is stored.
export const originResponse = {
  handle(request, response) {
    const status = response.status();
    if (response.get("cache-control") || status < 200 || status > 299) return;
    const lifetime = get("lifetime") ?? "60";
    write("debug", `${request.target().pathAndQuery} is fresh for ${lifetime} s`);
    response.apply([set("cache-control", `max-age=${lifetime}`)]);
  },
};

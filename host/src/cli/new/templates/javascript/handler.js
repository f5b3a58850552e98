// A standard `wasi:http` 0.2 component: it answers in place of an origin, here and under every
// other host of such components.

// What it says.
const greeting = (path) => `Hello from {{name}}! You asked for ${path}.\n`;

const answer = (request) => {
  // As it stands in a URL: control characters are encoded.
  const { pathname, search } = new URL(request.url);
  const headers = { "content-type": "text/plain; charset=utf-8" };
  return new Response(greeting(pathname + search), { headers });
};

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

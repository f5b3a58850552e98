// Loads the page again when `verge dev` has a new version of what made it.
(() => {
  let shown;
  const events = new EventSource("/.verge/live");
  events.addEventListener("live", (event) => {
    if (shown !== undefined && shown !== event.data) location.reload();
    shown = event.data;
  });
})();

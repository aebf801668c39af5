"use strict";
(() => {
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  const ago = (seconds) => {
    const past = Math.max(0, seconds);
    const [size, unit] = units.find(([size]) => past >= size) ?? [1, "s"];
    return `${Math.floor(past / size)} ${unit} ago`;
  };
  // The server's clock counts: this device's may be wrong.
  const asOf = document.getElementById("as-of");
  if (!asOf) return;
  let skew = Date.parse(asOf.dateTime) - Date.now();
  const now = () => Date.now() + skew;
  const utc = (moment) => new Date(moment).toISOString().slice(0, 19).replace("T", " ") + "Z";
  const tick = () => {
    for (const each of document.querySelectorAll(".ago")) {
      const text = ago(now() / 1000 - Number(each.dataset.at));
      if (each.textContent !== text) each.textContent = text;
    }
  };

  const replace = (id, html) => {
    const old = document.getElementById(id);
    if (!old) return location.reload();
    const template = document.createElement("template");
    template.innerHTML = html;
    const said = document.getElementById("said");
    const fresh = template.content.querySelector("#said");
    if (said && fresh && old.contains(said)) {
      // A live region is heard only if it stays the same element.
      if (said.textContent !== fresh.textContent) said.textContent = fresh.textContent;
      fresh.replaceWith(said);
    }
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    old.replaceWith(template.content);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };

  const live = document.getElementById("live");
  const state = (text, lost) => {
    live.textContent = text;
    document.body.classList.toggle("lost", lost);
  };
  const heard = () => {
    asOf.textContent = utc(now());
    tick();
  };
  const source = new EventSource(document.body.dataset.events);
  source.addEventListener("open", () => state("Live,", false));
  source.addEventListener("piece", (event) => {
    const { id, html } = JSON.parse(event.data);
    replace(id, html);
    heard();
  });
  source.addEventListener("reload", () => location.reload());
  source.addEventListener("error", () => {
    const closed = source.readyState === EventSource.CLOSED;
    state(closed ? "Not live, reload the page. As of" : "Connection lost, what you see is of", true);
  });
  setInterval(tick, 1000);
  tick();
})();

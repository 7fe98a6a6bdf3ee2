// Keeps the lists fresh while nobody types in them. The panel works without it.
const parts = ["live", "rules-card"];

async function refresh() {
  const busy = parts.some((id) => document.getElementById(id).contains(document.activeElement));
  if (document.hidden || busy) return;
  const answer = await fetch("/");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of parts) {
    const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
    if (fresh && old.innerHTML !== fresh.innerHTML) old.replaceWith(fresh);
  }
}

setInterval(() => refresh().catch(() => {}), 2000);
if (location.search) history.replaceState(null, "", "/");

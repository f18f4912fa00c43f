// The way in with a ticket, in a portal's frame. The ticket stands behind `#`: no server, log or Referer gets that part
// of an address, and it is taken out of the address before anything else happens.
const ticket = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
const words = JSON.parse(document.body.dataset.words);
const say = (sentence) => document.body.replaceChildren(Object.assign(document.createElement("p"), { role: "alert", textContent: sentence }));

try {
  // On its own a page could be opened by anyone with their own ticket, for someone else to ask under their name.
  if (window.parent === window || !ticket) say(words.no_ticket);
  else {
    const headers = { "content-type": "application/json" };
    const response = await fetch("v1/session", { method: "POST", headers, body: JSON.stringify({ ticket }), cache: "no-store" });
    if (!response.ok) say((await response.json()).detail);
    else if (!(await fetch("v1/widget", { cache: "no-store" })).ok) say(words.no_cookie);
    else location.replace("./");
  }
} catch {
  say(words.unreachable);
}

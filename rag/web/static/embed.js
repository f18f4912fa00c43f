// The chat in a frame of a portal's page: it takes the theme from that page and tells it how high it is. Only the page
// that frames it is heard, and only when its origin is one of `portal_origins`.
const portals = new Set((document.querySelector("meta[name=pullquote-portals]")?.content ?? "").split(" ").filter(Boolean));
const FRAMED = `#conversation .html-container > div { min-height: 0; } .turn:last-child { min-height: 0 !important; }
  html, body { overflow-y: hidden; } gradio-app, .gradio-container { min-height: 0 !important; }`;

for (const name of ["localStorage", "sessionStorage"]) {
  try {
    void window[name];
  } catch { // a browser that blocks storage of framed sites: what is kept lasts as long as the page
    const kept = new Map();
    const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, String(value)), removeItem: (key) => kept.delete(key) };
    Object.defineProperty(window, name, { value: storage });
  }
}

if (window.parent !== window && portals.size) {
  let last = 0;
  const tell = (message) => portals.forEach((origin) => window.parent.postMessage(message, origin)); // only the right one arrives
  const measure = () => {
    const height = Math.ceil(document.querySelector("#conversation")?.getBoundingClientRect().height ?? 0);
    if (height && height !== last) tell({ pullquote: "height", value: (last = height) });
  };
  addEventListener("message", (event) => {
    if (event.source !== window.parent || !portals.has(event.origin)) return;
    if (event.data?.pullquote === "theme") document.body.classList.toggle("dark", event.data.value === "dark");
  });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(FRAMED);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  new ResizeObserver(measure).observe(document.body);
  new MutationObserver(() => requestAnimationFrame(measure)).observe(document.body, { childList: true, subtree: true });
  tell({ pullquote: "ready" });
}

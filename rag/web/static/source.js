// The source pane: one document's canonical text, scrolled to and highlighting exactly the cited characters.
import { answerMark, el, fill, icon, pieces, whereabouts } from "./parts.js";
import { sheets } from "./paper.js";

const MORE = 20000; // code points that "earlier" and "later" add
const ARROW = { left: "M15 5l-7 7 7 7", right: "M9 5l7 7-7 7", cross: "M6 6l12 12M18 6L6 18" };
const pane = {}; // the nodes, the words, and what is open

/** Build the empty pane in `element`. */
export function mount(element, props) {
  pane.words = JSON.parse(JSON.stringify(props.words));
  const words = pane.words;
  const button = (name, path, action) =>
    el("button", { type: "button", class: `quiet ${name}`, "aria-label": words[name], title: words[name], onclick: action }, icon(path));
  pane.count = el("span", { class: "count" });
  pane.previous = button("previous", ARROW.left, () => step(-1));
  pane.next = button("next", ARROW.right, () => step(1));
  pane.steps = el("span", { class: "steps" }, pane.previous, pane.count, pane.next);
  pane.paper = el("button", { type: "button", class: "paper-switch", title: words.paper_note, "aria-pressed": "false", hidden: true, onclick: turn }, words.paper);
  pane.title = el("h2", { dir: "auto" });
  pane.where = el("p", { class: "where", dir: "auto" });
  pane.state = el("p", { class: "state", role: "status" });
  pane.text = el("div", { class: "text", tabindex: "0", role: "region", "aria-label": words.source });
  pane.root = el("aside", { class: "pane", "aria-label": words.source, tabindex: "-1", hidden: true },
    el("header", {},
      el("div", { class: "bar" }, el("span", { class: "kicker" }, words.source),
        pane.steps, pane.paper, button("close", ARROW.cross, close)),
      pane.title, pane.where, pane.state),
    pane.text);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !pane.root.hidden) close();
  });
  element.append(pane.root);
}

/** Open `list[n]` (citations or near passages, with the `button` that stands for each); `focus` moves the reader there. */
export function open(list, n, focus) {
  pane.list = list;
  pane.root.hidden = false;
  document.documentElement.classList.add("reading");
  show(n);
  if (focus) pane.root.focus({ preventScroll: true });
}

/** Close the pane and give the focus back to the citation that was open. */
export function close() {
  if (!pane.root || pane.root.hidden) return;
  const inside = pane.root.contains(document.activeElement);
  pane.root.hidden = true;
  pane.loading?.abort();
  document.documentElement.classList.remove("reading");
  current(null);
  if (inside) pane.list[pane.n].button.focus();
}

function step(by) {
  if (pane.list[pane.n + by]) show(pane.n + by);
}

/** Mark the citation that is open in the conversation. */
function current(button) {
  for (const node of document.querySelectorAll("[aria-current]")) node.removeAttribute("aria-current");
  button?.setAttribute("aria-current", "true");
}

function show(n) {
  const { words, list } = pane;
  const place = list[n];
  pane.n = n;
  current(place.button);
  place.button.scrollIntoView({ block: "nearest" });
  // A button with the focus must not vanish under it: these are marked disabled, not taken away.
  pane.previous.setAttribute("aria-disabled", String(n === 0));
  pane.next.setAttribute("aria-disabled", String(n === list.length - 1));
  pane.steps.classList.toggle("single", list.length === 1);
  pane.count.textContent = fill(words.count, { n: n + 1, total: list.length });
  const where = whereabouts(place, words);
  pane.title.textContent = pane.title.title = where.title;
  pane.where.textContent = [where.section, where.page, where.date].filter(Boolean).join(" · ");
  say("loading", words.loading);
  load(place, {});
}

/** Switch between the text and the printed page; the choice holds for the citations that are opened next. */
function turn() {
  pane.paged = !pane.paged;
  show(pane.n);
}

function say(kind, sentence) {
  pane.state.className = `state ${kind}`;
  pane.state.textContent = sentence;
}

/** Fetch the window of text around `place` (wider with `from` and `to`) and draw it. */
async function load(place, edges) {
  pane.loading?.abort();
  const loading = (pane.loading = new AbortController());
  const query = new URLSearchParams({ document: place.document_id, start: place.start, end: place.end, ...edges });
  let found;
  try {
    const response = await fetch(`source?${query}`, { signal: loading.signal });
    found = await response.json();
    if (!response.ok) throw { message: found.error?.message ?? pane.words.unreachable };
  } catch (problem) {
    if (loading.signal.aborted) return;
    pane.text.replaceChildren();
    const told = problem instanceof Error ? pane.words.unreachable : problem.message;
    return say("problem", told);
  }
  if (!loading.signal.aborted) draw(place, found, edges);
}

function draw(place, found, edges) {
  const { words, text } = pane;
  const { start, end } = found.range;
  const ranges = found.blocks.map((block) => ({ ...block, name: block.kind }));
  ranges.push({ start, end, name: place.utf16 ? "quote" : "near", mark: true }, ...answerMark(place, start));
  const body = el("div", { class: "canonical", dir: "auto" }, pieces(found.text, ranges));
  for (const page of [...found.pages].reverse()) before(body, page.start, fill(words.page_label, { page: page.label }));

  const kept = text.scrollHeight - text.scrollTop; // stays where the reader is when earlier text is added above
  const more = (name, wider) => el("button", { type: "button", class: "more", onclick: () => load(place, wider) }, words[name]);
  text.replaceChildren(...[
    found.more_before && more("earlier", { from: Math.max(0, found.from - MORE), to: found.to }),
    body,
    found.more_after && more("later", { from: found.from, to: found.to + MORE }),
  ].filter(Boolean));
  prove(place, found, body);
  pane.paper.hidden = !(found.paper && found.on_pages);
  pane.paper.setAttribute("aria-pressed", String(Boolean(pane.paged) && !pane.paper.hidden));
  if (pane.paged && !pane.paper.hidden && !body.classList.contains("unproved")) return print(place, found);
  if (edges.from === undefined) toQuote();
  else if (edges.to === found.to) text.scrollTop = text.scrollHeight - kept;
}

/** Show the pages that the quote stands on; where that cannot be done the text stays, and the reason is said. */
async function print(place, found) {
  const { words, loading } = pane;
  const proved = pane.state.textContent;
  say("loading", words.paper_loading);
  try {
    const made = await sheets(place, found, words, loading.signal);
    if (loading.signal.aborted) return;
    pane.text.replaceChildren(...made);
    say("exact", words.paper_shown);
  } catch (problem) {
    if (loading.signal.aborted) return;
    const told = problem instanceof Error ? words.unreachable : problem.message;
    say("exact", proved);
    pane.state.append(el("span", { class: "aside" }, told));
  }
  toQuote();
}

/** Check in the page itself that the highlighted characters are the quote, and say what was found. */
function prove(place, found, body) {
  const { words } = pane;
  if (!place.quote) return say("exact", words.document); // a document, not a place in it
  const range = rangeOf(body, found.range.start, found.range.end);
  const placed = !place.utf16
    || (place.utf16.start - found.utf16_from === found.range.start && place.utf16.end - found.utf16_from === found.range.end);
  const numbers = { start: place.start.toLocaleString("en-GB"), end: place.end.toLocaleString("en-GB") };
  if (range.toString() === place.quote && placed) {
    const changed = place.revision && place.revision !== found.revision;
    say("exact", fill(place.utf16 ? words.exact : words.nearest_exact, numbers) + (changed ? `. ${words.changed}` : ""));
  } else {
    body.classList.add("unproved");
    say("problem", place.revision && place.revision !== found.revision ? words.changed : words.differs);
  }
}

/** The DOM Range of `start:end` (UTF-16 units) in the text of `root`. */
function rangeOf(root, start, end) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  range.setStart(root, 0);
  range.collapse(true);
  let [at, started] = [0, false];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const stop = at + node.length;
    if (!started && start < stop) [started] = [true, range.setStart(node, start - at)];
    if (started && end <= stop) {
      range.setEnd(node, end - at);
      break;
    }
    at = stop;
  }
  return range;
}

/** Put a page label before the character at `position`. It is drawn by the style sheet, so the text stays as it is. */
function before(body, position, label) {
  const range = rangeOf(body, position, position);
  range.insertNode(el("span", { class: "leaf", "data-label": label }));
}

function toQuote() {
  const mark = pane.text.querySelector("mark, .on-paper");
  if (!mark) return;
  const [box, frame] = [mark.getBoundingClientRect(), pane.text.getBoundingClientRect()];
  pane.text.scrollTop += box.top - frame.top - frame.height / 4;
}

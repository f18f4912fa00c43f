// The conversation: questions go to the server and come back as lines of JSON. What is kept is the server's: the page
// holds the id of its conversation, in its address too, so that a reload or a link brings it back.
import { drawn, evidence, prepare } from "./answer.js";
import * as filters from "./filters.js";
import * as history from "./history.js";
import { call, lines, send, told } from "./net.js";
import { el, icon, looks, plural } from "./parts.js";
import * as source from "./source.js";

const POLL = 700; // ms between looks at an answer that another page began
const SUN = "M12 3v2m0 14v2M3 12h2m14 0h2M5.6 5.6L7 7m10 10l1.4 1.4M5.6 18.4L7 17M17 7l1.4-1.4M12 8a4 4 0 100 8 4 4 0 000-8z";
const PLUS = "M12 5v14M5 12h14";
const LIST = "M4 7h16M4 12h16M4 17h10";
const BOOKS = "M5 4h4v16H5zM10 4h4v16h-4zM15.5 5l3.5-1 3 15-3.5 1z";
const LEAVE = "M10 4H5v16h5M15 8l4 4-4 4M9 12h10";
const DOWN = "M12 4v11m0 0l-4-4m4 4l4-4M5 19h14";
const DRAFT = "pullquote-draft"; // what was typed and not answered: it outlives a reload and a new login
const page = { turns: new Map(), asked: 0, busy: null, conversation: null };
const opening = looks();

/** Build the page in `element` and show what its address names. */
export function mount(element, props, watch) {
  const words = (page.words = JSON.parse(JSON.stringify(props.words)));
  prepare(words, say, (question) => page.busy || ask(question, true));
  page.welcome = el("section", { class: "welcome" });
  page.about = el("div", { class: "about" });
  page.list = el("div", { class: "turns" });
  page.status = el("p", { class: "unseen", role: "status" });
  page.box = el("textarea", {
    id: "question", rows: 1, "aria-label": words.label, placeholder: words.placeholder, autocomplete: "off", dir: "auto",
    oninput: grow, onkeydown: keyed,
  });
  page.button = el("button", { type: "submit", class: "send" }, words.ask);
  const composer = el("form", { class: "composer", onsubmit: submitted }, el("div", { class: "field" }, page.box, page.button));
  const quiet = (label, path, action, more) => el("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: action, ...more }, icon(path));
  const menu = quiet(words.menu, LIST, () => history.toggle(menu), { "aria-expanded": "false" });
  page.export = taking(words);
  page.leave = el("form", { method: "post", action: "login/out", hidden: true }, el("button", { type: "submit", class: "quiet", "aria-label": words.sign_out, title: words.sign_out }, icon(LEAVE)));
  element.append(
    el("a", { class: "skip", href: "#question", onclick: (event) => { event.preventDefault(); page.box.focus(); } }, words.skip),
    el("header", { class: "top" }, menu, el("h1", {}, el("span", { class: "sign", "aria-hidden": "true" }, "“"), props.title),
      page.export, el("a", { class: "quiet library", href: "library", "aria-label": words.library, title: words.library }, icon(BOOKS)), quiet(words.fresh, PLUS, () => { fresh(); page.box.focus(); }), quiet(words.theme, SUN, theme), page.leave),
    history.mount(words, say, (id) => page.conversation === id && fresh()),
    el("div", { class: "conversation", role: "region", "aria-label": words.conversation }, page.welcome, page.about, page.list),
    page.status, el("div", { class: "foot" }, filters.mount(words), composer));
  const saved = localStorage.getItem("pullquote-theme");
  if (saved) document.body.classList.toggle("dark", saved === "dark");
  watch("value", () => welcome(JSON.parse(JSON.stringify(props.value))));
  if (props.value) welcome(JSON.parse(JSON.stringify(props.value)));
  page.box.value = sessionStorage.getItem(DRAFT) ?? "";
  grow();
  addEventListener("hashchange", route);
  route();
  if (matchMedia("(hover: hover)").matches) page.box.focus({ preventScroll: true });
}

// ---- asking

function keyed(event) {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (!page.busy) submitted(event);
  }
}

function submitted(event) {
  event.preventDefault();
  if (page.busy) return stop();
  const question = page.box.value.trim();
  if (!question) return page.box.focus();
  page.box.value = "";
  grow();
  ask(question);
}

/** Ask; `alone` asks exactly this, whatever was said before. */
function ask(question, alone = false) {
  const turn = `${Date.now()}-${++page.asked}`;
  opening(); // what was being opened no longer takes the place of the question
  if (page.alone) show([]); // one answer was shown: the question begins a conversation
  const node = place(turn, question);
  page.list.append(node);
  node.scrollIntoView({ block: "start" });
  busy(turn);
  say(page.words.searching);
  sessionStorage.setItem(DRAFT, question);
  answering(turn, { question, alone, conversation: page.conversation, filters: filters.get() });
}

/** The node of a turn, waiting for its result. */
function place(turn, question) {
  const result = el("div", { class: "result" });
  const node = el("article", { class: "turn", "aria-labelledby": `asked-${turn}` },
    el("h2", { class: "asked", id: `asked-${turn}`, dir: "auto" }, question), result);
  page.turns.set(turn, { node, result, question });
  page.welcome.hidden = true;
  waiting(turn, page.words.searching);
  return node;
}

function waiting(turn, sentence, shown = null) {
  const spinner = el("p", { class: "pending" }, el("span", { class: "dots", "aria-hidden": "true" }), sentence);
  page.turns.get(turn).result.replaceChildren(...[spinner, shown].filter(Boolean));
}

/** Ask the server and draw what it says of it; what goes wrong is said where the answer would stand. */
async function answering(turn, asked) {
  const { words } = page;
  const here = page.turns.get(turn);
  const asking = (here.asking = new AbortController());
  try {
    const response = await send("chat/ask", asked, "POST", asking.signal);
    for await (const event of lines(response)) {
      if (page.turns.get(turn) !== here || asking.signal.aborted) return; // the conversation was left, or it was stopped
      if (event.kind === "asked") {
        here.id = event.id;
        sessionStorage.removeItem(DRAFT);
        filters.set(event.filters);
        address(event.conversation);
      } else if (event.kind === "evidence") waiting(turn, words.searching, evidence(event.passages));
      else if (event.kind === "answer") finish(turn, drawn(event.turn, true));
      else if (event.kind === "problem") {
        if (event.code === "not_found") address(null);
        problem(turn, event.code === "not_found" ? words.left : event.message);
      }
    }
    if (page.busy === turn) problem(turn, words.failed); // the line broke off
  } catch (failure) {
    if (!asking.signal.aborted && page.turns.get(turn) === here) problem(turn, told(failure, words));
  }
}

function stop() {
  const turn = page.busy;
  const { asking, id } = page.turns.get(turn);
  if (id) send(`chat/turns/${id}/stop`, {}).catch(() => {});
  asking?.abort();
  finish(turn, [el("p", { class: "told" }, page.words.stopped), again(turn)]);
  say(page.words.stopped);
}

function busy(turn) {
  page.busy = turn;
  page.button.textContent = turn ? page.words.stop : page.words.ask;
  page.button.classList.toggle("stop", Boolean(turn));
}

function finish(turn, nodes) {
  page.turns.get(turn).result.replaceChildren(...nodes);
  if (page.busy === turn) busy(null);
}

function problem(turn, sentence) {
  finish(turn, [el("p", { class: "told problem", role: "alert" }, sentence), again(turn)]);
}

function again(turn) {
  const { question } = page.turns.get(turn);
  return el("button", { type: "button", class: "again", onclick: () => page.busy || ask(question) }, page.words.again);
}

// ---- what the address names

/** The conversation that questions go to now, in the address too. */
function address(conversation) {
  page.conversation = conversation;
  const hash = conversation ? `#conversation/${conversation}` : "";
  if (location.hash !== hash) window.history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
  page.export.hidden = !conversation;
  for (const link of page.export.querySelectorAll("a")) link.href = `chat/conversations/${conversation}/export?form=${link.dataset.form}`;
}

async function route() {
  const [kind, id] = location.hash.slice(1).split("/");
  if (!id || (kind === "conversation" && id === page.conversation)) return id ? undefined : page.conversation && fresh();
  const { words } = page;
  const newest = opening();
  try {
    const found = await call(`chat/${kind === "answer" ? "turns" : "conversations"}/${encodeURIComponent(id)}`);
    if (!newest() || location.hash !== `#${kind}/${id}`) return; // gone elsewhere meanwhile
    show(kind === "answer" ? [found] : found.turns);
    if (kind !== "answer") return address(id);
    page.alone = true;
    page.about.replaceChildren(el("p", {}, words.one_answer, " ", found.mine ? el("a", { href: `#conversation/${found.conversation}` }, words.whole) : null));
  } catch (failure) {
    if (!newest() || location.hash !== `#${kind}/${id}`) return;
    show([]);
    page.about.replaceChildren(el("p", { class: "told problem", role: "alert" }, failure.status === 404 ? words.unknown : told(failure, words)));
    page.welcome.hidden = false;
  }
}

/** Show saved turns in the place of what is there. */
function show(turns) {
  if (page.busy) page.turns.get(page.busy).asking?.abort(); // it is answered and kept all the same
  busy(null);
  page.turns.clear();
  page.alone = false;
  page.about.replaceChildren();
  source.close();
  page.list.replaceChildren(...turns.map((turn) => place(turn.id, turn.question)));
  for (const turn of turns) saved(turn);
  filters.set(turns.at(-1)?.filters ?? {});
  page.conversation = null;
  page.export.hidden = true;
  page.list.lastElementChild?.scrollIntoView({ block: "start" });
}

/** Draw a saved turn; one that is still being answered is waited for. */
async function saved(turn) {
  const here = page.turns.get(turn.id);
  if (turn.state === "pending") {
    page.turns.get(turn.id).id = turn.id;
    busy(turn.id);
    say(page.words.still_reading);
    while (turn.state === "pending") {
      await new Promise((later) => setTimeout(later, POLL));
      const left = () => page.turns.get(turn.id) !== here || page.busy !== turn.id;
      if (left()) return;
      try {
        turn = await call(`chat/turns/${turn.id}`);
      } catch (failure) {
        return left() ? undefined : problem(turn.id, told(failure, page.words));
      }
      if (left()) return;
    }
  }
  if (turn.answer) finish(turn.id, drawn(turn, false));
  else if (turn.state === "stopped") finish(turn.id, [el("p", { class: "told" }, page.words.stopped), again(turn.id)]);
  else problem(turn.id, turn.problem);
}

/** Leave the conversation: it is kept, and the next question begins another. */
function fresh() {
  if (page.busy) stop();
  show([]);
  address(null);
  page.welcome.hidden = false;
}

// ---- small things

function welcome({ documents, collections, examples, session }) {
  const { words } = page;
  page.leave.hidden = !session;
  filters.offer(collections);
  const suggestion = (question) => el("li", {}, el("button", { type: "button", dir: "auto", onclick: () => page.busy || ask(question) }, question));
  page.welcome.replaceChildren(
    el("h2", {}, words.welcome), el("p", {}, words.tagline),
    el("p", { class: "amount" }, documents ? plural(words.documents, documents) : words.no_documents),
    ...(examples.length ? [el("h3", {}, words.examples), el("ul", {}, examples.map(suggestion))] : []));
}

/** The menu of the forms in which a conversation can be taken along. */
function taking(words) {
  const forms = Object.entries(words.export_forms).map(([form, name]) =>
    el("li", {}, el("a", { "data-form": form, href: "#", target: form === "html" ? "_blank" : null, rel: "noopener" }, name)));
  const menu = el("details", { class: "take-along", hidden: true }, el("summary", { "aria-label": words.export, title: words.export }, icon(DOWN)), el("ul", {}, forms));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  menu.addEventListener("focusout", (event) => { if (!menu.contains(event.relatedTarget)) menu.open = false; });
  return menu;
}

function say(sentence) {
  page.status.textContent = sentence;
}

function grow() {
  page.box.style.height = "auto";
  page.box.style.height = `${page.box.scrollHeight}px`;
  if (!page.busy) sessionStorage.setItem(DRAFT, page.box.value);
}

function theme() {
  const dark = document.body.classList.toggle("dark");
  localStorage.setItem("pullquote-theme", dark ? "dark" : "light");
}

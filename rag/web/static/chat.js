// The conversation: questions go to the server and come back as lines of JSON, which are drawn here.
import { answerMark, day, el, fill, icon, oneLine, pieces, plural, whereabouts } from "./parts.js";
import * as source from "./source.js";

const WIDE = "(min-width: 960px)"; // here the source opens beside the first answer by itself; see chat.css
const SHORT = 60; // characters; a longer answer is read in its quote, not as a headline
const SUN = "M12 3v2m0 14v2M3 12h2m14 0h2M5.6 5.6L7 7m10 10l1.4 1.4M5.6 18.4L7 17M17 7l1.4-1.4M12 8a4 4 0 100 8 4 4 0 000-8z";
const PLUS = "M12 5v14M5 12h14";
// What could run or compute elsewhere is escaped: markup in HTML, marks of Markdown.
const html = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const markdown = (text) => text.replace(/[\\`*_{}[\]()<>#+!|~-]/g, "\\$&");
const FORMS = {
  plain: (quote, where) => `“${quote}”\n— ${where}`,
  markdown: (quote, where) => `${markdown(quote).replace(/^/gm, "> ")}\n>\n> — ${markdown(where)}\n`,
  html: (quote, where) => `<figure><blockquote>${html(quote)}</blockquote><figcaption>${html(where)}</figcaption></figure>`,
};
const page = { turns: new Map(), asked: 0, busy: null, conversation: null };

/** Build the page in `element` and listen for what the server sends. */
export function mount(element, props, watch) {
  page.words = JSON.parse(JSON.stringify(props.words));
  const words = page.words;
  page.welcome = el("section", { class: "welcome" });
  page.list = el("div", { class: "turns" });
  page.status = el("p", { class: "unseen", role: "status" });
  page.box = el("textarea", {
    id: "question", rows: 1, "aria-label": words.label, placeholder: words.placeholder, autocomplete: "off", dir: "auto",
    oninput: grow, onkeydown: keyed,
  });
  page.button = el("button", { type: "submit", class: "send" }, words.ask);
  const composer = el("form", { class: "composer", onsubmit: submitted }, el("div", { class: "field" }, page.box, page.button));
  const quiet = (label, path, action) => el("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: action }, icon(path));
  element.append(
    el("a", { class: "skip", href: "#question", onclick: (event) => { event.preventDefault(); page.box.focus(); } }, words.skip),
    el("header", { class: "top" }, el("h1", {}, el("span", { class: "sign", "aria-hidden": "true" }, "“"), props.title),
      quiet(words.fresh, PLUS, fresh), quiet(words.theme, SUN, theme)),
    el("div", { class: "conversation", role: "region", "aria-label": words.conversation }, page.welcome, page.list),
    page.status, composer);
  const saved = localStorage.getItem("pullquote-theme");
  if (saved) document.body.classList.toggle("dark", saved === "dark");
  watch("value", () => welcome(JSON.parse(JSON.stringify(props.value))));
  if (props.value) welcome(JSON.parse(JSON.stringify(props.value)));
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

function ask(question) {
  const turn = `${Date.now()}-${++page.asked}`;
  const result = el("div", { class: "result" }, el("p", { class: "pending" }, el("span", { class: "dots", "aria-hidden": "true" }), page.words.searching));
  const node = el("article", { class: "turn", "aria-labelledby": `asked-${turn}` },
    el("h2", { class: "asked", id: `asked-${turn}`, dir: "auto" }, question), result);
  page.turns.set(turn, { node, result, question });
  page.welcome.hidden = true;
  page.list.append(node);
  node.scrollIntoView({ block: "start" });
  busy(turn);
  page.status.textContent = page.words.searching;
  answering(turn, question);
}

/** Ask the server and draw what it says of it; what goes wrong is said where the answer would stand. */
async function answering(turn, question) {
  const { words } = page;
  const here = page.turns.get(turn);
  const asking = (here.asking = new AbortController());
  try {
    const response = await send("chat/ask", { question, conversation: page.conversation }, asking.signal);
    for await (const event of lines(response)) {
      if (page.turns.get(turn) !== here) return; // of a conversation that was left
      if (event.kind === "asked") [page.conversation, here.id] = [event.conversation, event.turn];
      else if (event.kind === "answer") receive(turn, event.turn.answer);
      else if (event.kind === "problem") {
        if (event.code === "not_found") page.conversation = null;
        problem(turn, event.code === "not_found" ? words.left : event.message);
      }
    }
    if (page.busy === turn) problem(turn, words.failed); // the line broke off
  } catch (failure) {
    if (asking.signal.aborted || page.turns.get(turn) !== here) return;
    problem(turn, failure.status === 401 ? words.signed_out : failure.told ?? words.failed);
  }
}

/** POST as JSON; a refusal is thrown as {status, told}. */
async function send(path, body, signal) {
  const response = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw { status: response.status, told: said.error?.message ?? said.detail };
}

/** The lines of JSON of a response, as they come. */
async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const whole = (rest + part.value).split("\n");
    rest = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

function stop() {
  const turn = page.busy;
  const { asking, id } = page.turns.get(turn);
  if (id) send(`chat/turns/${id}/stop`, {}).catch(() => {});
  asking.abort();
  finish(turn, el("p", { class: "told" }, page.words.stopped), again(turn));
  page.status.textContent = page.words.stopped;
}

function busy(turn) {
  page.busy = turn;
  page.button.textContent = turn ? page.words.stop : page.words.ask;
  page.button.classList.toggle("stop", Boolean(turn));
}

function fresh() {
  if (page.busy) stop();
  page.conversation = null;
  page.turns.clear();
  page.list.replaceChildren();
  page.welcome.hidden = false;
  source.close();
  page.box.focus();
}

// ---- receiving

function receive(turn, answer) {
  const answered = answer.status === "answered";
  finish(turn, answered ? answers(answer) : silence(answer));
  page.status.textContent = answered ? plural(page.words.answered, answer.citations.length) : page.words.silence[answer.reason].join(". ");
}

function finish(turn, ...nodes) {
  page.turns.get(turn).result.replaceChildren(...nodes.flat());
  if (page.busy === turn) busy(null);
}

function problem(turn, sentence) {
  finish(turn, el("p", { class: "told problem", role: "alert" }, sentence), again(turn));
}

function again(turn) {
  const { question } = page.turns.get(turn);
  return el("button", { type: "button", class: "again", onclick: () => page.busy || ask(question) }, page.words.again);
}

function welcome({ documents, examples }) {
  const { words } = page;
  const suggestion = (question) => el("li", {}, el("button", { type: "button", dir: "auto", onclick: () => page.busy || ask(question) }, question));
  page.welcome.replaceChildren(
    el("h2", {}, words.welcome), el("p", {}, words.tagline),
    el("p", { class: "amount" }, documents ? plural(words.documents, documents) : words.no_documents),
    ...(examples.length ? [el("h3", {}, words.examples), el("ul", {}, examples.map(suggestion))] : []));
}

// ---- drawing an answer

function answers(answer) {
  const { words } = page;
  const places = answer.citations.map((citation) => ({ ...citation }));
  const byNumber = new Map(places.map((place, i) => [place.n, i]));
  const cards = answer.answers.map((item) => {
    const own = item.citations.filter((n) => byNumber.has(n)).map((n) => byNumber.get(n));
    const quotes = own.map((i, rank) => [
      rank === 1 && el("p", { class: "also" }, words.also),
      el("figure", { class: rank ? "supporting" : "leading" }, quote(places[i]), citing(places, i), copying(places[i])),
    ]);
    const telling = item.text.length <= SHORT && item.text !== places[own[0]]?.quote;
    const short = telling ? el("p", { class: "short", dir: "auto" }, item.text) : null;
    const head = answer.conflict && el("header", {}, short,
      el("p", { class: "dates" }, item.dates.length ? item.dates.map(day).join(", ") : words.undated));
    return el("section", { class: "card" }, head || null, quotes.flat().filter(Boolean));
  });
  const conflict = answer.conflict && el("div", { class: "conflict" },
    el("p", {}, el("strong", {}, words.conflict), ` ${words.conflict_note}`));
  if (places.length && matchMedia(WIDE).matches) source.open(places, 0, false);
  return [searched(answer), conflict, el("div", { class: answer.conflict ? "cards apart" : "cards" }, cards), confidence(answer)].filter(Boolean);
}

function quote(place) {
  return el("blockquote", { dir: "auto" }, pieces(place.quote, answerMark(place)),
    place.partial ? el("span", { class: "partial", title: page.words.partial, role: "img", "aria-label": page.words.partial }, " …") : null);
}

function citing(places, i) {
  const place = places[i];
  const where = whereabouts(place, page.words);
  place.button = el("button", {
    type: "button", class: "cite", "aria-label": fill(page.words.open, { n: place.n, where: oneLine(where) }),
    onclick: () => source.open(places, i, true),
  }, el("span", { class: "number", "aria-hidden": "true" }, String(place.n)), spot(where));
  return el("figcaption", {}, place.button);
}

/** Three ways to take a quote along with its source. */
function copying(place) {
  const { words } = page;
  const button = ([name, write]) => el("button", {
    type: "button", class: "take", "aria-label": fill(words.copy_as, { form: words.forms[name], n: place.n }),
    onclick: () => copied(write(place.quote, oneLine(whereabouts(place, words)))),
  }, words.forms[name]);
  return el("p", { class: "taking" }, words.copy, " ", Object.entries(FORMS).map(button));
}

function copied(text) {
  navigator.clipboard.writeText(text).then(
    () => { page.status.textContent = page.words.copied; },
    () => { page.status.textContent = page.words.not_copied; });
}

function spot(where) {
  const rest = [where.section, where.page, where.date].filter(Boolean).join(" · ");
  return el("span", { class: "spot" }, el("span", { class: "title", dir: "auto" }, where.title), rest ? el("span", { class: "rest", dir: "auto" }, rest) : null);
}

function confidence(answer) {
  const { words } = page;
  const level = words.confidence.findIndex((step) => answer.confidence >= step.from);
  const word = answer.answers.length > 1 ? fill(words.confidence_first, { word: words.confidence[level].word.toLowerCase() }) : words.confidence[level].word;
  const note = fill(words.confidence_note, { percent: Math.round(100 * answer.confidence) });
  const id = `sure-${++page.asked}`;
  return el("div", { class: "sure" },
    el("button", { type: "button", class: `level level-${level}`, "aria-describedby": id },
      el("span", { class: "meter", "aria-hidden": "true" }, el("i"), el("i"), el("i"), el("i")), word),
    el("span", { class: "note", id, role: "tooltip" }, note));
}

function searched(answer) {
  return answer.query && answer.query !== answer.question
    ? el("p", { class: "searched", dir: "auto" }, fill(page.words.query, { query: answer.query })) : null;
}

function silence(answer) {
  const { words } = page;
  const [head, why] = words.silence[answer.reason];
  const places = answer.nearest.map((near) => ({ ...near }));
  const items = places.map((place, i) => {
    const where = whereabouts(place, words);
    place.button = el("button", {
      type: "button", class: "cite", "aria-label": fill(words.open_nearest, { where: oneLine(where) }),
      onclick: () => source.open(places, i, true),
    }, spot(where));
    return el("li", {}, el("p", { class: "excerpt", dir: "auto" }, place.quote), place.button);
  });
  source.close();
  return [searched(answer), el("div", { class: "silence" }, el("p", { class: "headline" }, head), el("p", {}, why)),
    items.length ? el("section", { class: "nearest" }, el("h3", {}, words.nearest, " ", el("span", {}, words.not_an_answer)), el("ul", {}, items)) : null,
  ].filter(Boolean);
}

// ---- small things

function grow() {
  page.box.style.height = "auto";
  page.box.style.height = `${page.box.scrollHeight}px`;
}

function theme() {
  const dark = document.body.classList.toggle("dark");
  localStorage.setItem("pullquote-theme", dark ? "dark" : "light");
}

// One answer as nodes: quotes with their sources, silence with its reason, and what can be done with them.
import { call, told } from "./net.js";
import { answerMark, day, el, fill, oneLine, pieces, plural, table, whereabouts } from "./parts.js";
import * as source from "./source.js";

const WIDE = "(min-width: 960px)"; // here the source opens beside a new answer by itself; see chat.css
const SHORT = 60; // characters; a longer answer is read in its quote, not as a headline
// What could run or compute elsewhere is escaped: markup in HTML, marks of Markdown.
const html = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const markdown = (text) => text.replace(/[\\`*_{}[\]()<>#+!|~-]/g, "\\$&");
// A place, where it stands, and what there is to say of it ("" when nothing) → text; rows of a table are one where a form has it.
const FORMS = {
  plain: ({ quote }, where, note) => `“${quote}”\n— ${where}${note && `\n${note}`}`,
  markdown: (place, where, note) => `${markdownQuote(place).replace(/^/gm, "> ")}\n>\n> — ${markdown(where)}\n${note && `\n${markdown(note)}\n`}`,
  html: (place, where, note) => `<figure><blockquote>${htmlQuote(place)}</blockquote><figcaption>${html(where)}${note && `<br>${html(note)}`}</figcaption></figure>`,
};

function markdownQuote(place) {
  const rows = table(place);
  if (!rows) return markdown(place.quote);
  const line = (cells) => `| ${cells.map(markdown).join(" | ")} |`;
  return [line(rows.heads), `|${"---|".repeat(rows.heads.length)}`, ...rows.cells.map(line)].join("\n");
}

function htmlQuote(place) {
  const rows = table(place);
  if (!rows) return html(place.quote);
  const line = (cells, tag) => `<tr>${cells.map((cell) => `<${tag}>${html(cell)}</${tag}>`).join("")}</tr>`;
  return `<table><thead>${line(rows.heads, "th")}</thead><tbody>${rows.cells.map((cells) => line(cells, "td")).join("")}</tbody></table>`;
}
let words, say, ask, ids = 0;

/** `speak` tells a screen reader, `again(question)` asks what was edited. */
export function prepare(sentences, speak, again) {
  [words, say, ask] = [sentences, speak, again];
}

/** The nodes of a finished turn; a `fresh` one opens its source where there is room. */
export function drawn(turn, fresh) {
  const { answer } = turn;
  const silent = answer.status !== "answered";
  const nodes = [searched(turn), ...(silent ? silence(answer) : answers(answer, fresh)), silent ? null : sources(answer, fresh), acts(turn)];
  if (fresh) say(silent ? words.silence[answer.reason].join(". ") : plural(words.answered, answer.citations.length));
  return nodes.filter(Boolean);
}

// ---- answers

function answers(answer, fresh) {
  const places = answer.citations.filter((citation) => citation.quote).map(placed);
  const byNumber = new Map(places.map((place, i) => [place.n, i]));
  const cards = answer.answers.map((item) => {
    const own = item.citations.map((n) => byNumber.get(n) ?? -1);
    const quotes = own.map((i, rank) => [
      rank === 1 && el("p", { class: "also" }, words.also),
      i < 0 ? el("p", { class: "told withheld" }, words.withheld) : el("figure", { class: rank ? "supporting" : "leading" },
        quote(places[i]), rank || !item.claim ? null : el("p", { class: "claim", dir: "auto" }, fill(words.claim, item.claim)),
        citing(places, i), proof(places[i], fresh), copying(places[i], conflicting(answer, item, places))),
    ]);
    const telling = item.text && item.text.length <= SHORT && item.text !== places[own[0]]?.quote;
    const short = telling ? el("p", { class: "short", dir: "auto" }, item.text) : null;
    const head = answer.conflict && el("header", {}, short,
      el("p", { class: "dates" }, item.dates.length ? item.dates.map(day).join(", ") : words.undated));
    return el("section", { class: "card" }, head || null, quotes.flat().filter(Boolean));
  });
  const conflict = answer.conflict && el("div", { class: "conflict" },
    el("p", {}, el("strong", {}, words.conflict), ` ${words.conflict_note}`));
  if (fresh && places.length && matchMedia(WIDE).matches) source.open(places, 0, false);
  return [conflict, el("div", { class: answer.conflict ? "cards apart" : "cards" }, cards), confidence(answer)];
}

/** What the other answers quote, in one sentence, when the documents differ; else "". */
function conflicting(answer, item, places) {
  if (!answer.conflict) return "";
  const others = answer.answers.filter((other) => other !== item).map((other) => places.find(({ n }) => n === other.citations[0])).filter(Boolean);
  return fill(words.conflict_with, { others: others.map((place) => fill(words.conflict_other, { quote: place.quote, where: oneLine(whereabouts(place, words)) })).join(", ") });
}

/** A citation as a place to open: where its words have moved to, when they have. */
function placed(citation) {
  const now = citation.proof?.now;
  if (!now) return { ...citation };
  const by = now.start - citation.start;
  const short = citation.answer && { ...citation.answer, start: citation.answer.start + by, end: citation.answer.end + by };
  return { ...citation, ...now, answer: short, revision: null };
}

function quote(place) {
  const rows = table(place);
  return el("blockquote", { dir: "auto" }, rows ? drawnTable(place, rows) : pieces(place.quote, answerMark(place)),
    place.partial ? el("span", { class: "partial", title: words.partial, role: "img", "aria-label": words.partial }, " …") : null);
}

/** Rows with the heads of their columns. The body's text is the quote itself: what parts cells is there, unseen. */
function drawnTable(place, { heads, cells }) {
  const marks = answerMark(place);
  let at = 0;
  const cell = (text, i) => {
    const from = (at += i ? 3 : 0);
    at += text.length;
    const own = marks.map((mark) => ({ ...mark, start: Math.max(mark.start, from) - from, end: Math.min(mark.end, at) - from }));
    return el("td", { dir: "auto" }, i ? el("span", { class: "unseen", "aria-hidden": "true" }, " | ") : null, pieces(text, own.filter(({ start, end }) => start < end)));
  };
  const row = (texts, n) => {
    if (n) at += 1;
    return [n ? "\n" : null, el("tr", {}, texts.map(cell))];
  };
  return el("div", { class: "wide", tabindex: "0", role: "group", "aria-label": words.rows }, el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col", dir: "auto" }, head)))),
    el("tbody", {}, cells.flatMap(row))));
}

function citing(places, i) {
  const place = places[i];
  const where = whereabouts(place, words);
  place.button = el("button", {
    type: "button", class: "cite", "aria-label": fill(words.open, { n: place.n, where: oneLine(where) }),
    onclick: () => source.open(places, i, true),
  }, el("span", { class: "number", "aria-hidden": "true" }, String(place.n)), spot(where));
  return el("figcaption", {}, place.button);
}

/** What became of a source since it was quoted; nothing when it stands as it stood. */
function proof(place, fresh) {
  const { state, revised, difference } = place.proof ?? {};
  if (fresh || !state || (state === "exact" && !revised)) return null;
  const changes = (difference ?? []).map((line) => ({ "-": el("del", {}, line.slice(2)), "+": el("ins", {}, line.slice(2)) })[line[0]] ?? line.slice(2));
  return el("div", { class: `proof ${state}` },
    el("p", {}, state === "exact" ? words.revised : words.proof[state]),
    changes.length ? el("p", { class: "difference", dir: "auto" }, el("strong", {}, `${words.differently}: `), changes.flatMap((node) => [node, " "])) : null);
}

function sources(answer, fresh) {
  const same = answer.citations.every(({ proof: found }) => found?.state === "exact" && !found.revised);
  return !fresh && same ? el("p", { class: "unchanged" }, plural(words.unchanged, answer.citations.length)) : null;
}

/** Three ways to take a quote along with its source and a `note` on it; what became of it is seen beside the buttons. */
function copying(place, note) {
  const done = el("span", { class: "done", "aria-hidden": "true" }); // a screen reader hears it as status
  const button = ([name, write]) => el("button", {
    type: "button", class: "take", "aria-label": fill(words.copy_as, { form: words.forms[name], n: place.n }),
    onclick: async (event) => {
      const well = await copied(write(place, oneLine(whereabouts(place, words)), note), words.copied, words.not_copied);
      for (const other of document.querySelectorAll(".done")) other.textContent = "";
      done.textContent = well ? words.copied_short : words.copied_not;
      done.classList.toggle("failed", !well);
      event.target.after(done);
    },
  }, words.forms[name]);
  return el("p", { class: "taking" }, words.copy, " ", Object.entries(FORMS).map(button));
}

/** Whether the browser took `text`; it is told either way. */
const copied = (text, done, failed) => navigator.clipboard.writeText(text).then(() => { say(done); return true; }, () => { say(failed); return false; });

function spot(where) {
  const rest = [where.section, where.page, where.date].filter(Boolean).join(" · ");
  return el("span", { class: "spot" }, el("span", { class: "title", dir: "auto" }, where.title), rest ? el("span", { class: "rest", dir: "auto" }, rest) : null);
}

function confidence(answer) {
  const level = words.confidence.findIndex((step) => answer.confidence >= step.from);
  const word = answer.answers.length > 1 ? fill(words.confidence_first, { word: words.confidence[level].word.toLowerCase() }) : words.confidence[level].word;
  const note = fill(words.confidence_note, { percent: Math.round(100 * answer.confidence) });
  const id = `sure-${++ids}`;
  return el("div", { class: "sure" },
    el("button", { type: "button", class: `level level-${level}`, "aria-describedby": id },
      el("span", { class: "meter", "aria-hidden": "true" }, el("i"), el("i"), el("i"), el("i")), word),
    el("span", { class: "note", id, role: "tooltip" }, note));
}

// ---- silence

function silence(answer) {
  const [head, why] = words.silence[answer.reason];
  const places = answer.nearest.map((near) => ({ ...near }));
  const items = places.map((place, i) => {
    const where = whereabouts(place, words);
    place.button = el("button", { type: "button", class: "cite", onclick: () => source.open(places, i, true) },
      el("span", { class: "unseen" }, `${words.nearest_one} `), el("span", { class: "excerpt", dir: "auto" }, place.quote),
      spot(where), el("span", { class: "unseen" }, ` ${words.open_nearest}`));
    return el("li", {}, place.button);
  });
  source.close();
  const missing = answer.missing?.length && !["empty_index", "filtered"].includes(answer.reason)
    ? el("p", { class: "missing", dir: "auto" }, fill(plural(words.missing, answer.missing.length), { words: answer.missing.map((word) => `“${word}”`).join(", ") })) : null;
  return [el("div", { class: "silence" }, el("p", { class: "headline" }, head), el("p", {}, why), missing),
    items.length ? el("section", { class: "nearest" }, el("h3", {}, words.nearest, " ", el("span", {}, words.not_an_answer)), el("ul", {}, items)) : null];
}

/** What is being read, while the answer is not there yet. */
export function evidence(passages) {
  const items = passages.map((place) => el("li", {}, el("p", { class: "excerpt", dir: "auto" }, place.quote), el("p", { class: "cite" }, spot(whereabouts(place, words)))));
  return items.length ? el("section", { class: "nearest first" }, el("h3", {}, words.reading, " ", el("span", {}, words.not_yet)), el("ul", {}, items)) : null;
}

// ---- what can be done with an answer

/** The query that was used, when it is not what was typed. */
function searched({ answer }) {
  return answer.query && answer.query !== answer.question
    ? el("p", { class: "searched", dir: "auto" }, fill(words.query, { query: answer.query })) : null;
}

function acts(turn) {
  const below = el("div", { class: "below" });
  const under = (...nodes) => { below.replaceChildren(...nodes); below.scrollIntoView({ block: "nearest" }); };
  const act = (name, action, attributes = {}) => el("button", { type: "button", class: `act ${name}`, onclick: action, ...attributes }, attributes.label ?? words[name]);
  const edit = act("edit", () => under(editor(turn, below)));
  if (!turn.mine) return el("div", { class: "acts" }, el("p", {}, edit), below);
  const unshare = act("unshare", async () => {
    await attempt(call(`chat/turns/${turn.id}/share`, { shared: false }), words.unshared);
    unshare.hidden = true;
  });
  unshare.hidden = !turn.shared;
  const link = act("link", async () => {
    const address = `${location.origin}${location.pathname}#answer/${turn.id}`;
    if (!(await attempt(call(`chat/turns/${turn.id}/share`, { shared: true })))) return;
    unshare.hidden = false;
    copied(address, words.linked, fill(words.link_shown, { link: address }));
    under(el("p", { class: "kept" }, words.linked, " ", el("a", { href: address }, address)));
  });
  const rate = async (rating) => {
    if (!(await attempt(call(`chat/turns/${turn.id}/feedback`, rating), words.thanks))) return;
    mark(rating);
    under(el("p", { class: "kept" }, words.thanks));
  };
  const good = act("good", () => rate({ good: true }), { label: "👍", "aria-label": words.good, title: words.good });
  const bad = act("bad", () => {
    under(complaint(turn, below, rate));
    below.querySelector("input").focus();
    below.scrollIntoView({ block: "nearest" });
  }, { label: "👎", "aria-label": words.bad, title: words.bad });
  const mark = (rating) => {
    good.setAttribute("aria-pressed", String(rating?.good === true));
    bad.setAttribute("aria-pressed", String(rating?.good === false));
  };
  mark(turn.rating);
  return el("div", { class: "acts" }, el("p", {}, good, bad, edit, link, unshare), below);
}

/** Whether `call` went well; a failure is said. */
async function attempt(calling, done) {
  try {
    await calling;
    if (done) say(done);
    return true;
  } catch (failure) {
    say(told(failure, words));
    return false;
  }
}

function editor(turn, below) {
  const box = el("input", { type: "text", value: turn.answer.query, "aria-label": words.edit_label, dir: "auto", maxlength: 2000 });
  const form = el("form", {
    class: "editor",
    onsubmit: (event) => { event.preventDefault(); if (box.value.trim()) { below.replaceChildren(); ask(box.value.trim()); } },
  }, box, el("button", { type: "submit" }, words.edit_run), el("button", { type: "button", onclick: () => below.replaceChildren() }, words.cancel));
  queueMicrotask(() => box.focus());
  return form;
}

function complaint(turn, below, rate) {
  const silent = turn.answer.status !== "answered";
  const reasons = Object.entries(words.reasons).filter(([name]) => (silent ? name === "should_answer" : name !== "should_answer"));
  const name = `why-${++ids}`;
  const comment = el("textarea", { rows: 2, maxlength: 2000, "aria-label": words.comment, placeholder: words.comment });
  return el("form", {
    class: "complaint",
    onsubmit: (event) => {
      event.preventDefault();
      rate({ good: false, reason: new FormData(event.target).get(name), comment: comment.value });
    },
  }, el("fieldset", {}, el("legend", {}, words.why),
    reasons.map(([value, text], i) => el("label", {}, el("input", { type: "radio", name, value, checked: i === 0 }), text))),
  comment, el("p", {}, words.feedback_note),
  el("div", { class: "ends" }, el("button", { type: "submit" }, words.send), el("button", { type: "button", onclick: () => below.replaceChildren() }, words.cancel)));
}

// What the conversation and the source pane share. Text only ever becomes text nodes and attributes, never markup.

/** An element with attributes (`on…` are listeners; null and false are left out) and children (strings become text). */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** An icon drawn from a path of a 24 × 24 grid. */
export function icon(path) {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  const shape = document.createElementNS(namespace, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

/** `sentence` with each `{name}` replaced from `values`. */
export const fill = (sentence, values) =>
  sentence.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));

/** The form of `forms` for `n` things. */
export const plural = (forms, n) => fill(n === 1 ? forms.one : forms.other, { n: n.toLocaleString("en-GB") });

/** UTF-16 units of the first `count` code points of `text`. */
export function units(text, count) {
  let at = 0;
  for (let n = 0; n < count && at < text.length; n++) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return at;
}

/** The short answer as a range of its quote for `pieces`, in UTF-16 units, moved by `offset`; [] when there is none. */
export function answerMark(citation, offset = 0) {
  const answer = citation.answer;
  if (!answer) return [];
  const start = units(citation.quote, answer.start - citation.start);
  const end = units(citation.quote, answer.end - citation.start);
  const whole = start === 0 && end >= citation.quote.length - 1; // all but a full stop: bold would shout
  return [{ start: start + offset, end: end + offset, name: whole ? "answer whole" : "answer", mark: true }];
}

/** `text` as nodes: each of `ranges` ({start, end, name}) becomes a class of the pieces it covers; `tag` wraps them. */
export function pieces(text, ranges, tag = "mark") {
  const edges = new Set([0, text.length]);
  for (const range of ranges) edges.add(range.start).add(range.end);
  const cuts = [...edges].sort((a, b) => a - b);
  const sorted = [...ranges].sort((a, b) => a.start - b.start);
  const nodes = [];
  let open = [];
  let next = 0;
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [start, end] = [cuts[i], cuts[i + 1]];
    while (next < sorted.length && sorted[next].start <= start) open.push(sorted[next++]);
    open = open.filter((range) => range.end > start);
    const names = open.map((range) => range.name);
    const part = text.slice(start, end);
    const name = open.some((range) => range.mark) ? tag : "span";
    nodes.push(names.length ? el(name, { class: names.join(" ") }, part) : document.createTextNode(part));
  }
  return nodes;
}

/** The heads and cells of a quote that is rows of a table (its innermost section is their head row), or null. */
export function table({ quote, section }) {
  const heads = section?.at(-1)?.split(" | ") ?? [];
  const cells = quote.split("\n").map((line) => line.split(" | "));
  const fits = heads.length > 1 && cells.every((row) => row.length === heads.length && row.join(" | ") !== heads.join(" | "));
  return fits ? { heads, cells } : null;
}

/** "4 May 2024" for an ISO date; anything else as it is. */
export function day(date) {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(date ?? "")) return date ?? "";
  const time = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(time.getTime())) return date;
  return time.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
}

/** Where a citation stands, as short strings: title, section path, pages, date. */
export function whereabouts(place, words) {
  const pages = place.pages;
  const page = pages && (pages[0] === pages[1] ? fill(words.page, { page: pages[0] }) : fill(words.pages, { first: pages[0], last: pages[1] }));
  const title = place.title || place.document_id;
  const path = (place.section ?? []).filter((heading, i) => !(i === 0 && heading === title));
  return { title, section: path.join(" › "), page: page ?? "", date: day(place.date) };
}

export const oneLine = (where) => [where.title, where.section, where.page, where.date].filter(Boolean).join(", ");

/** Looks at one thing: each begins with a call, which gives whether none began after it. An overtaken answer is old. */
export function looks() {
  let newest = 0;
  return () => {
    const mine = ++newest;
    return () => mine === newest;
  };
}

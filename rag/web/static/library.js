// The library: what is indexed, by collection, and the visitor's own uploads. Text only ever becomes text nodes.
import { day, el, fill, looks, plural } from "./parts.js";
import * as source from "./source.js";

const POLL = 1000; // ms between looks at uploads that are being indexed
const SENT_AT_ONCE = 2;
const SHOWN = 100; // documents that a collection shows at once
const MANY = 10; // from more documents on, titles can be searched
const TYPING = 200; // ms after which a search begins
const page = { words: JSON.parse(document.body.dataset.words), sending: new Map(), waiting: [], rows: new Map(), gone: new Set(), timer: 0 };
const { words } = page;
const [looking, counting, searching] = [looks(), looks(), looks()];

const saved = localStorage.getItem("pullquote-theme");
const dark = saved ? saved === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
document.body.classList.toggle("dark", dark);
build();
Promise.all([refresh().then(problems), collections()]);

function build() {
  page.status = el("p", { class: "unseen", role: "status" });
  page.notice = el("p", { class: "notice", role: "alert", hidden: true });
  page.files = el("input", { type: "file", multiple: true, hidden: true, onchange: (event) => chosen(event.target) });
  page.folder = el("input", { type: "file", webkitdirectory: true, hidden: true, onchange: (event) => chosen(event.target) });
  page.share = el("select", { id: "share" });
  page.drop = el("section", { class: "drop", hidden: true, "aria-label": words.upload },
    el("p", {}, el("strong", {}, words.drop), el("span", { class: "limit" })),
    el("p", { class: "choose" },
      el("button", { type: "button", onclick: () => page.files.click() }, words.choose),
      el("button", { type: "button", onclick: () => page.folder.click() }, words.choose_folder),
      el("label", { for: "share" }, words.share, " ", page.share)), page.files, page.folder);
  page.uploads = el("ul", { class: "uploads" });
  page.own = el("section", { hidden: true, "aria-labelledby": "own" }, el("h2", { id: "own" }, words.uploads), page.uploads);
  page.search = el("input", { type: "search", class: "search", "aria-label": words.search, placeholder: words.search, hidden: true, oninput: later });
  page.found = el("div", { hidden: true });
  page.collections = el("div", { class: "collections" }, el("p", { class: "soft" }, words.loading));
  page.problems = el("section", { hidden: true, "aria-labelledby": "odd" }, el("h2", { id: "odd" }, words.problems));
  document.body.append(
    el("header", { class: "bar" }, el("h1", {}, el("span", { class: "sign", "aria-hidden": "true" }, "“"), words.title),
      el("a", { href: "." }, words.back), "session" in document.body.dataset ? el("form", { method: "post", action: "login/out" }, el("button", { type: "submit" }, words.sign_out)) : ""),
    el("main", {}, page.notice, page.drop, page.own,
      el("section", { "aria-labelledby": "held" }, el("h2", { id: "held" }, words.indexed), page.search, page.found, page.collections), page.problems),
    page.status);
  const pane = el("div", { id: "source" });
  document.body.append(pane);
  source.mount(pane, { words: words.pane });
  document.addEventListener("dragover", (event) => { event.preventDefault(); page.drop.classList.add("over"); });
  document.addEventListener("dragleave", (event) => event.relatedTarget || page.drop.classList.remove("over"));
  document.addEventListener("drop", dropped);
}

async function get(path) {
  const response = await fetch(path, { cache: "no-store" });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.detail ?? words.unreachable), { status: response.status });
  return body;
}

/** Tell what went wrong: until the next action, or, of a look at the server, until the next that succeeds. */
function say(sentence, look = false) {
  page.notice.textContent = sentence;
  page.notice.hidden = !sentence;
  page.looked = look;
}

// ---- uploads

async function refresh() {
  clearTimeout(page.timer);
  const newest = looking();
  try {
    const found = await get("v1/uploads");
    if (!newest()) return;
    limits(found);
    const there = new Set(found.uploads.map((upload) => upload.id));
    const finished = found.uploads.filter((upload) => upload.stage === "done" && page.rows.get(upload.id)?.stage !== "done");
    for (const id of [...page.rows.keys()]) if (!there.has(id) && !id.startsWith("local-")) forget(id);
    for (const upload of [...found.uploads].reverse()) show(upload);
    if (finished.length && page.loaded) {
      page.status.textContent = finished.map((upload) => fill(words.ready, { name: upload.name })).join(" ");
      await collections();
    }
    page.loaded = true;
    if (page.looked) say("");
    if (newest() && found.uploads.some((upload) => !["done", "failed"].includes(upload.stage))) page.timer = setTimeout(refresh, POLL);
  } catch (error) {
    if (!newest()) return;
    say(error.message === "Failed to fetch" ? words.unreachable : error.message, true);
    page.timer = setTimeout(refresh, 5 * POLL);
  }
}

function limits(found) {
  page.largest = found.largest;
  page.whole = found.whole;
  page.drop.hidden = !found.largest;
  page.drop.querySelector(".limit").textContent = ` ${fill(words.limit, { one: bytes(found.largest), kept: bytes(found.kept), quota: bytes(found.quota) })}`;
  if (page.share.options.length) return;
  const choices = [["", words.private], ...found.groups.map((group) => [group, fill(words.group, { group })]), ...(found.everyone ? [["*", words.everyone]] : [])];
  page.share.append(...choices.map(([value, label]) => el("option", { value }, label)));
  page.share.parentElement.hidden = choices.length === 1;
}

/** A row for an upload (as the API tells it) or one on its way (`id` is local); made once, then filled anew. */
function show(upload) {
  if (page.gone.has(upload.id)) return;
  let row = page.rows.get(upload.id);
  if (!row) {
    row = { node: el("li", { class: "upload" }) };
    page.rows.set(upload.id, row);
    page.uploads.prepend(row.node);
  }
  const running = !["done", "failed", "refused"].includes(upload.stage);
  const told = JSON.stringify(upload);
  if (row.told === told) return;
  Object.assign(row, { told, stage: upload.stage });
  const kept = upload.stage === "done" || upload.stage === "failed"; // what the server holds is asked about once
  const stop = el("button", { type: "button", "aria-label": fill(running ? words.cancel_named : words.remove_named, { name: upload.name }), onclick: () => (kept ? sure(upload, stop) : remove(upload)) },
    running ? words.cancel : upload.stage === "refused" ? words.dismiss : words.remove);
  const state = fill(words.stages[upload.stage], { percent: upload.percent }) + (running && upload.seconds_left ? ` ${fill(words.left, { time: duration(upload.seconds_left) })}` : "");
  row.node.replaceChildren(
    el("div", { class: "line" }, el("span", { class: "name", dir: "auto" }, upload.name), el("span", { class: `state ${upload.stage}` }, state),
      upload.stage === "done" && upload.documents.length ? el("a", { href: `v1/original?document=${encodeURIComponent(upload.documents[0])}`, download: "" }, words.original) : "", stop),
    running ? el("progress", { max: 100, value: upload.percent, "aria-label": fill(words.progress, { name: upload.name }) }) : "",
    upload.problems.length ? el("ul", { class: "told" }, upload.problems.map((problem) => el("li", { dir: "auto" }, problem))) : "",
    el("p", { class: "soft" }, [bytes(upload.size), upload.groups === null ? words.everyone : upload.groups.length ? upload.groups.join(", ") : words.private].join(" · ")));
  page.own.hidden = false;
}

/** Take a row away for good: whatever is still under way about it comes too late. */
function drop(id) {
  page.gone.add(id);
  forget(id);
}

function forget(id) {
  page.rows.get(id)?.node.remove();
  page.rows.delete(id);
  page.own.hidden = !page.rows.size;
}

/** Ask in the place of the button, which comes back when the upload is kept. */
function sure(upload, button) {
  const back = () => { asking.replaceWith(button); button.focus(); };
  const keep = el("button", { type: "button", "aria-label": fill(words.keep_named, { name: upload.name }), onclick: back }, words.keep);
  const asking = el("span", { class: "sure", role: "group", onkeydown: (event) => event.key === "Escape" && back() }, words.remove_sure, " ",
    el("button", { type: "button", class: "danger", "aria-label": fill(words.remove_named, { name: upload.name }), onclick: () => { back(); remove(upload); } }, words.remove), keep);
  button.replaceWith(asking);
  keep.focus();
}

async function remove(upload) {
  say("");
  const local = page.sending.get(upload.id);
  page.waiting = page.waiting.filter((one) => one.id !== upload.id);
  if (local || upload.local) {
    page.sending.delete(upload.id);
    local?.abort?.();
    drop(upload.id);
    return next();
  }
  const response = await fetch(`v1/uploads/${upload.id}`, { method: "DELETE" }).catch(() => null);
  if (!response?.ok && response?.status !== 404) {
    const told = await response?.json().catch(() => null);
    return say(told?.code === "busy" ? fill(words.busy, { name: upload.name }) : told?.detail ?? words.unreachable);
  }
  drop(upload.id);
  await Promise.all([refresh(), collections()]);
}

function chosen(input) {
  add([...input.files].map((file) => [file, file.webkitRelativePath || file.name]));
  input.value = "";
}

async function dropped(event) {
  event.preventDefault();
  page.drop.classList.remove("over");
  if (page.drop.hidden) return;
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  add((await Promise.all(entries.map(walk))).flat());
}

/** The files below an entry of a drop, as [file, path]; hidden ones are left out. */
async function walk(entry) {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) return [[await new Promise((done, failed) => entry.file(done, failed)), entry.fullPath]];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map(walk))).flat());
  }
}

function add(files) {
  say("");
  for (const [file, path] of files) {
    if (path.split("/").some((part) => part.startsWith("."))) continue;
    const upload = { id: `local-${Date.now()}-${page.waiting.length}-${Math.random()}`, local: true, name: path.replace(/^\//, ""), size: file.size,
      groups: page.share.value === "*" ? null : page.share.value ? [page.share.value] : [], stage: "sending", percent: 0, problems: [], documents: [], file };
    const problem = !file.size ? words.no_bytes : file.size > page.largest ? fill(words.too_large, { limit: bytes(page.largest) }) : "";
    if (problem) show({ ...upload, stage: "refused", problems: [problem] });
    else { page.waiting.push(upload); show(upload); }
  }
  next();
}

function next() {
  while (page.waiting.length && page.sending.size < SENT_AT_ONCE) send(page.waiting.shift());
}

function send(upload) {
  const request = new XMLHttpRequest(); // fetch does not tell how much was sent
  page.sending.set(upload.id, request);
  const query = new URLSearchParams({ name: upload.name });
  if (upload.groups === null) query.set("everyone", "true");
  else upload.groups.forEach((group) => query.append("group", group));
  request.upload.onprogress = (event) => show({ ...upload, percent: Math.round((100 * event.loaded) / Math.max(1, event.total)) });
  request.onloadend = () => {
    if (!page.sending.delete(upload.id)) return; // cancelled
    let answer = null;
    try { answer = JSON.parse(request.responseText); } catch { /* no answer came */ }
    if (request.status === 202) {
      drop(upload.id);
      show(answer);
      refresh();
    } else if (request.status === 429 || (request.status === 503 && answer?.code === "overloaded")) {
      setTimeout(() => { if (!page.gone.has(upload.id)) page.waiting.push(upload); next(); }, 1000 * Number(request.getResponseHeader("retry-after") ?? 2));
    } else show({ ...upload, stage: "refused", problems: [answer?.detail ?? words.unreachable] });
    next();
  };
  request.open("POST", `v1/documents?${query}`);
  request.setRequestHeader("content-type", "application/octet-stream");
  request.send(upload.file);
}

// ---- what is indexed

async function collections() {
  const newest = counting();
  const found = (await get("v1/collections").catch((error) => { if (newest()) say(error.message, true); return {}; })).collections;
  if (!newest() || !found) return; // what is shown is not known to be wrong
  const open = new Set([...page.collections.querySelectorAll("details[open]")].map((node) => node.dataset.name));
  page.search.hidden = found.reduce((sum, { documents }) => sum + documents, 0) <= MANY;
  page.collections.replaceChildren(...(found.length ? found.map((one) => collection(one, open.has(one.name) || found.length === 1)) : [el("p", { class: "soft" }, words.empty)]));
}

function collection({ name, documents }, open) {
  const list = el("ul", { class: "documents" });
  const node = el("details", { "data-name": name, ontoggle: () => node.open && !list.childElementCount && more({ collection: name }, list, "") },
    el("summary", {}, el("span", { dir: "auto" }, name), el("span", { class: "soft" }, plural(words.documents, documents))), list);
  node.open = open;
  return node;
}

/** A document of a list; its title opens its text beside it. */
function listed({ id, title, date, passages }) {
  const button = el("button", { type: "button", class: "name", dir: "auto", onclick: () => source.open([place], 0, true) }, title || id);
  const place = { document_id: id, title, date, start: 0, end: 0, quote: "", button };
  return el("li", {}, button,
    el("span", { class: "soft", dir: "auto" }, [id.replace(/^upload:[0-9a-f]{32}\//, ""), day(date), passages ? plural(words.passages, passages) : words.no_passages].filter(Boolean).join(" · ")));
}

function later() {
  clearTimeout(page.typing);
  page.typing = setTimeout(search, TYPING);
}

/** The documents whose titles have what is typed, in the place of the collections; nothing typed brings those back. */
async function search() {
  const title = page.search.value.trim();
  const newest = searching();
  const list = el("ul", { class: "documents" });
  if (title) await more({ title }, list, "");
  if (!newest()) return;
  page.found.hidden = !title;
  page.collections.hidden = Boolean(title);
  page.found.replaceChildren(list.childElementCount || !title ? list : el("p", { class: "soft", role: "status" }, words.none_found));
}

/** Add the documents after the id `after` that `limits` (a collection, words of the title) leave. */
async function more(limits, list, after) {
  const query = new URLSearchParams({ ...limits, after, limit: SHOWN });
  const found = await get(`v1/documents?${query}`).catch((error) => { say(error.message); return { documents: [], next: null }; });
  if (!after && list.childElementCount) return; // opened twice
  list.append(...found.documents.map(listed));
  if (found.next) {
    const button = el("li", {}, el("button", { type: "button", onclick: () => { button.remove(); more(limits, list, found.next); } }, words.more));
    list.append(button);
  }
}

/** Files that were skipped are named to whoever may see the whole index, and to nobody else. */
async function problems() {
  const found = page.whole ? await get("v1/status").catch(() => null) : null;
  const rows = [...(found?.skipped ?? []).map(({ file, reason }) => [file, reason]), ...(found?.unfinished ?? []).map((file) => [file, words.unfinished])];
  page.problems.hidden = !rows.length;
  page.problems.append(el("ul", { class: "told" }, rows.map(([file, reason]) => el("li", {}, el("strong", { dir: "auto" }, file), " ", reason))));
}

// ---- small things

function bytes(count) {
  const units = ["B", "kB", "MB", "GB"];
  let n = 0;
  while (count >= 1000 && n < units.length - 1) { count /= 1000; n += 1; }
  return `${count.toLocaleString("en-GB", { maximumFractionDigits: count < 10 && n ? 1 : 0 })} ${units[n]}`;
}

const duration = (seconds) => (seconds < 90 ? fill(words.seconds, { n: seconds }) : fill(words.minutes, { n: Math.round(seconds / 60) }));

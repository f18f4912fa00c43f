// The drawer of saved conversations: found, opened, renamed, deleted. What it lists is the server's.
import { call, told } from "./net.js";
import { el, fill, icon, looks } from "./parts.js";

const CROSS = "M6 6l12 12M18 6L6 18";
const PEN = "M4 20h4L19 9l-4-4L4 16z";
const BIN = "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13";
const TYPING = 200; // ms after which a search begins
const drawer = {};
const looking = looks();

/** Build the closed drawer. `gone(id)` hears that a conversation was deleted, `say` tells a screen reader. */
export function mount(words, say, gone) {
  Object.assign(drawer, { words, say, gone });
  drawer.search = el("input", { type: "search", "aria-label": words.search, placeholder: words.search, oninput: later });
  drawer.list = el("ul", { class: "saved" });
  drawer.told = el("p", { class: "told", role: "status" });
  drawer.root = el("nav", { class: "drawer", "aria-label": words.conversations, hidden: true },
    el("header", {}, el("h2", {}, words.conversations), small("close_menu", CROSS, words.close_menu, close)),
    drawer.search, drawer.told, drawer.list);
  drawer.root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!drawer.root.hidden && !drawer.root.contains(event.target) && !drawer.opener.contains(event.target)) close();
  });
  addEventListener("focus", () => drawer.root.hidden || load()); // another tab may have changed it
  return drawer.root;
}

export function toggle(opener) {
  drawer.opener = opener;
  if (!drawer.root.hidden) return close();
  drawer.root.hidden = false;
  opener.setAttribute("aria-expanded", "true");
  drawer.search.focus();
  load();
}

export function close() {
  if (drawer.root.hidden) return;
  const inside = drawer.root.contains(document.activeElement);
  drawer.root.hidden = true;
  drawer.opener.setAttribute("aria-expanded", "false");
  if (inside) drawer.opener.focus();
}

const small = (name, path, label, action) =>
  el("button", { type: "button", class: `quiet ${name}`, "aria-label": label, title: label, onclick: action }, icon(path));

function later() {
  clearTimeout(drawer.typing);
  drawer.typing = setTimeout(() => load(), TYPING);
}

/** Fetch the list; while a row is renamed or deleted it stays as it is, until that is done (`over`). */
async function load(over = false) {
  const { words } = drawer;
  const sought = drawer.search.value.trim();
  const newest = looking();
  drawer.over ||= over === true; // also when another look overtakes this one
  try {
    const { conversations } = await call(`chat/conversations?${new URLSearchParams({ search: sought })}`);
    if (!newest() || sought !== drawer.search.value.trim() || (!drawer.over && drawer.list.querySelector("form, .sure-delete"))) return;
    drawer.over = false;
    drawer.told.textContent = conversations.length ? "" : sought ? words.none_found : words.none_yet;
    drawer.list.replaceChildren(...conversations.map(row));
  } catch (failure) {
    if (newest()) drawer.told.textContent = told(failure, words);
  }
}

function row(conversation) {
  const { words } = drawer;
  const { id, title, updated } = conversation;
  const when = new Date(updated).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  const node = el("li", {},
    el("a", { href: `#conversation/${id}`, dir: "auto", onclick: close, "aria-current": location.hash === `#conversation/${id}` ? "page" : null },
      title, el("span", {}, when)),
    small("rename", PEN, fill(words.rename, { title }), () => rename(node, conversation)),
    small("delete", BIN, fill(words.delete, { title }), () => remove(node, conversation)));
  return node;
}

function rename(node, { id, title }) {
  const { words } = drawer;
  const box = el("input", { type: "text", value: title, maxlength: 200, "aria-label": words.new_title, dir: "auto" });
  const done = async (event) => {
    event.preventDefault();
    try {
      if (box.value.trim()) await call(`chat/conversations/${id}`, { title: box.value });
      await load(true);
      drawer.search.focus();
    } catch (failure) {
      drawer.told.textContent = told(failure, words);
    }
  };
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.stopPropagation(); load(true); drawer.search.focus(); }
  });
  node.replaceChildren(el("form", { onsubmit: done }, box));
  box.select();
}

function remove(node, { id }) {
  const { words } = drawer;
  const keep = el("button", { type: "button", onclick: () => { load(true); drawer.search.focus(); } }, words.delete_no);
  const yes = el("button", {
    type: "button", class: "danger",
    onclick: async () => {
      try {
        await call(`chat/conversations/${id}`, undefined, "DELETE");
        drawer.say(words.deleted);
        drawer.gone(id);
      } catch (failure) {
        drawer.told.textContent = told(failure, words);
      }
      load(true);
      drawer.search.focus();
    },
  }, words.delete_yes);
  node.replaceChildren(el("p", { class: "sure-delete" }, words.delete_sure, " ", yes, keep));
  keep.focus();
}

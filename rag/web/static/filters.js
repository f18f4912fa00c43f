// What a question is limited to, as chips that can be taken away, and the little form that adds them.
import { day, el, fill } from "./parts.js";

const chosen = { words: null, filters: {}, collections: [] };

/** Build the row of chips. */
export function mount(words) {
  chosen.words = words;
  chosen.chips = el("ul", { class: "chips" });
  chosen.form = el("form", { class: "limits", hidden: true, "aria-label": words.filters, onsubmit: apply });
  chosen.button = el("button", { type: "button", class: "act filter", "aria-expanded": "false", onclick: toggle }, words.filter);
  chosen.root = el("div", { class: "filters" }, chosen.chips, chosen.button, chosen.form);
  chosen.root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || chosen.form.hidden) return;
    event.stopPropagation();
    toggle();
    chosen.button.focus();
  });
  set({});
  return chosen.root;
}

/** The collections that can be chosen. */
export function offer(collections) {
  chosen.collections = collections;
}

/** The filters as the server wants them. */
export function get() {
  const { collections, documents, since, until } = chosen.filters;
  return { collections: collections ?? [], documents: documents ?? [], since: since ?? null, until: until ?? null };
}

/** Show other filters: those that the server found in a question, or of a conversation that was opened. */
export function set(filters) {
  chosen.filters = { ...filters };
  const { words } = chosen;
  const named = { collections: filters.collections, documents: filters.titles ?? filters.documents, since: day(filters.since), until: day(filters.until) };
  chosen.chips.replaceChildren(...Object.entries(named).filter(([, value]) => value?.length).map(([name, value]) => {
    const chip = fill(words.chips[name], { value: Array.isArray(value) ? value.join(", ") : value });
    return el("li", {}, el("button", {
      type: "button", class: "chip", "aria-label": fill(words.unfilter, { chip }), dir: "auto",
      onclick: () => { const rest = { ...chosen.filters, [name]: undefined }; if (name === "documents") rest.titles = undefined; set(rest); chosen.button.focus(); },
    }, chip, el("span", { "aria-hidden": "true" }, " ×")));
  }));
}

function toggle() {
  chosen.form.hidden = !chosen.form.hidden;
  chosen.button.setAttribute("aria-expanded", String(!chosen.form.hidden));
  if (chosen.form.hidden) return;
  const { words, filters } = chosen;
  const option = (value, text) => el("option", { value, selected: (filters.collections?.[0] ?? "") === value }, text);
  const select = el("select", { name: "collection" }, option("", words.any), chosen.collections.map((name) => option(name, name)));
  const date = (name) => el("label", {}, words[name], el("input", { type: "date", name, value: filters[name] ?? "" }));
  chosen.form.replaceChildren(el("label", {}, words.collection, select), date("since"), date("until"), el("button", { type: "submit" }, words.apply));
  select.focus();
}

function apply(event) {
  event.preventDefault();
  const given = new FormData(chosen.form);
  const collection = given.get("collection");
  set({ ...chosen.filters, collections: collection ? [collection] : undefined, since: given.get("since") || undefined, until: given.get("until") || undefined });
  toggle();
  chosen.button.focus();
}

// The printed pages of a PDF with the quote marked on them. The server finds the places; nothing is searched for here.
import { el, fill } from "./parts.js";

const percent = (share) => `${100 * share}%`;

/** A figure for each page that `place` stands on, once its picture is there. Throws {message} when there is none. */
export function sheets(place, found, words, signal) {
  const [first, last] = found.on_pages;
  const numbers = Array.from({ length: last - first + 1 }, (_, n) => first + n);
  return Promise.all(numbers.map((number) => sheet(place, found, number, words, signal)));
}

async function sheet(place, found, number, words, signal) {
  const named = { document: place.document_id, number };
  const query = new URLSearchParams({ ...named, start: place.start, end: place.end });
  const response = await fetch(`page/marks?${query}`, { signal });
  const { width, height, boxes, error } = await response.json();
  if (!response.ok) throw { message: error?.message ?? words.unreachable };
  const picture = el("img", {
    src: `page?${new URLSearchParams(named)}`, alt: fill(words.paper_alt, { page: number, title: found.title }), width, height,
  });
  await picture.decode();
  return el("figure", { class: "sheet" }, picture, boxes.map((box) => {
    const mark = el("span", { class: place.utf16 ? "on-paper" : "on-paper near" });
    for (const [name, share] of Object.entries(box)) mark.style[name] = percent(share);
    return mark;
  }));
}

// <pullquote-chat>: questions and quoted answers in a portal's own page, in a shadow root. The visitor's own sign-on
// (cookie) is what the server sees; no key is in the page, and nothing is fetched from anywhere but that server.
// A portal on another site gives `tickets`, an address of its own server that answers a POST with {"ticket": …}: the
// session that it opens is held in memory alone.
// With `whole` it shows the whole chat in a frame, as high as its content. `theme`: light, dark, or as the system has it.
import { answerMark, el, fill, oneLine, pieces, whereabouts } from "./parts.js";

const BASE = new URL("../", import.meta.url);
const REMEMBERED = 6; // earlier questions that a follow-up can refer to
const STYLE = `
:host { display: block; font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; color-scheme: light;
  --paper: #ffffff; --ink: #221f1b; --soft: #665f55; --line: #e4ded2; --accent: #86303d; --on-accent: #ffffff; --mark: #ffdf75; --warn: #9a3412; color: var(--ink); }
:host([data-dark]) { color-scheme: dark; --paper: #201e1c; --ink: #ece7dd; --soft: #aba395; --line: #37332e; --accent: #eea0a8; --on-accent: #2a1013; --mark: #6d5606; --warn: #f3b183; }
* { box-sizing: border-box; }
.box { background: var(--paper); border: 1px solid var(--line); border-radius: 0.75rem; padding: 1rem; }
:host([whole]) .box { padding: 0; overflow: hidden; }
iframe { display: block; width: 100%; height: 30rem; border: 0; }
h2, h3, p, blockquote, figure { margin: 0; font: inherit; }
h2 { font-weight: 600; margin-bottom: 0.6rem; }
form { display: flex; gap: 0.5rem; }
input { flex: 1; min-width: 0; font: inherit; color: inherit; background: transparent; border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.45rem 0.7rem; }
button { font: inherit; font-weight: 600; color: var(--on-accent); background: var(--accent); border: 0; border-radius: 0.5rem; padding: 0.45rem 1rem; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.turn { margin-top: 1rem; padding-top: 0.9rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
h3 { font-weight: 600; }
figure { margin-top: 0.6rem; padding-inline-start: 0.8rem; border-inline-start: 3px solid var(--accent); }
blockquote { white-space: pre-wrap; unicode-bidi: plaintext; font-family: Charter, Georgia, "Noto Serif", serif; font-size: 1.05rem; }
mark { background: var(--mark); color: inherit; font-weight: 600; }
mark.whole { font-weight: inherit; }
.soft, figcaption { color: var(--soft); font-size: 0.875rem; }
.problem { color: var(--warn); }
a { color: var(--accent); }`;

class PullquoteChat extends HTMLElement {
  static observedAttributes = ["theme"];

  #root = this.attachShadow({ mode: "open" });
  #asked = [];
  #words = null;
  #frame = null;
  #session = null;
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #follow = () => this.#paint();
  #hear = (event) => this.#told(event);

  connectedCallback() {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.#root.adoptedStyleSheets = [sheet];
    this.#dark.addEventListener("change", this.#follow);
    addEventListener("message", this.#hear);
    this.#paint();
    this.hasAttribute("whole") ? this.#whole() : this.#begin();
  }

  disconnectedCallback() {
    this.#dark.removeEventListener("change", this.#follow);
    removeEventListener("message", this.#hear);
  }

  attributeChangedCallback() {
    if (this.isConnected) this.#paint();
  }

  #paint() {
    const theme = this.getAttribute("theme");
    const dark = theme === "dark" || (theme !== "light" && this.#dark.matches);
    this.toggleAttribute("data-dark", dark);
    this.#frame?.contentWindow?.postMessage({ pullquote: "theme", value: dark ? "dark" : "light" }, BASE.origin);
  }

  // ---- the whole chat, in a frame

  async #whole() {
    const tickets = this.hasAttribute("tickets");
    this.#frame = el("iframe", { src: tickets ? null : BASE.href, title: this.getAttribute("label") ?? "Pullquote", allow: "clipboard-write" });
    this.#root.replaceChildren(el("div", { class: "box" }, this.#frame));
    if (!tickets) return;
    try {
      const ticket = await this.#ticket();
      this.#frame.contentWindow.location.replace(new URL(`embed#${ticket}`, BASE)); // and so in no attribute
    } catch (refused) {
      this.#root.replaceChildren(el("section", { class: "box" }, el("p", { class: "problem", role: "alert" }, refused.problem)));
    }
  }

  #told(event) {
    if (!this.#frame || event.source !== this.#frame.contentWindow || event.origin !== BASE.origin) return;
    if (event.data?.pullquote === "ready") this.#paint();
    const height = event.data?.pullquote === "height" ? Number(event.data.value) : NaN;
    if (height > 0) this.#frame.style.height = `${Math.min(height, 20000)}px`;
  }

  // ---- a question and its answers

  async #begin() {
    const found = await this.#call("v1/widget");
    if (found.problem) return this.#root.replaceChildren(el("div", { class: "box" }, ...this.#refused(found)));
    this.#words = found.words;
    this.box = el("input", { type: "text", name: "question", maxlength: 2000, autocomplete: "off", dir: "auto", "aria-label": found.words.label, placeholder: found.words.placeholder });
    this.turns = el("div", { "aria-live": "polite" });
    this.#root.replaceChildren(el("section", { class: "box", "aria-label": found.title },
      el("h2", {}, found.title),
      el("form", { onsubmit: (event) => { event.preventDefault(); this.#ask(this.box.value.trim()); } }, this.box, el("button", { type: "submit" }, found.words.ask)),
      this.turns));
    this.dispatchEvent(new CustomEvent("ready"));
  }

  async #ask(question) {
    if (!question) return;
    this.box.value = "";
    const result = el("div", {}, el("p", { class: "soft" }, this.#words.searching));
    this.turns.prepend(el("article", { class: "turn" }, el("h3", { dir: "auto" }, question), result));
    const collections = (this.getAttribute("collections") ?? "").split(",").map((name) => name.trim()).filter(Boolean);
    const answer = await this.#call("v1/ask", { question, history: this.#asked.slice(-REMEMBERED), filters: { collections } });
    if (answer.problem) return result.replaceChildren(...this.#refused(answer));
    this.#asked.push(question);
    result.replaceChildren(...(answer.status === "answered" ? this.#answers(answer) : this.#silence(answer)));
    this.dispatchEvent(new CustomEvent("answer", { detail: { status: answer.status } }));
  }

  #answers(answer) {
    const words = this.#words;
    const quotes = answer.citations.map((citation) => el("figure", {},
      el("blockquote", { dir: "auto" }, pieces(citation.quote, answerMark(citation))),
      el("figcaption", { dir: "auto" }, oneLine(whereabouts(citation, words)))));
    return [answer.conflict ? el("p", { class: "problem" }, words.conflict) : "", ...quotes,
      el("p", { class: "soft" }, fill(words.confidence, { percent: Math.round(100 * answer.confidence) }), " ", this.#link())].filter(Boolean);
  }

  #silence(answer) {
    return [el("p", {}, this.#words.silence[answer.reason]), el("p", { class: "soft" }, this.#link())];
  }

  #link() {
    return this.hasAttribute("tickets") ? "" : // a new tab has no session
      el("a", { href: BASE.href, target: "_blank", rel: "noopener" }, this.#words.open);
  }

  #refused({ status, problem }) {
    const sign = status === 401 && !this.hasAttribute("tickets") ? [" ", el("a", { href: BASE.href, target: "_blank", rel: "noopener" }, BASE.host)] : [];
    return [el("p", { class: "problem", role: "alert" }, problem, ...sign)];
  }

  /** A new ticket, from the portal's own server. Throws {status, problem}. */
  async #ticket() {
    const response = await fetch(this.getAttribute("tickets"), { method: "POST", cache: "no-store" }).catch(() => null);
    const found = await response?.json().catch(() => null);
    if (!response?.ok || !found?.ticket) throw { status: response?.status ?? 0, problem: "This portal gave no ticket. Reload the page." };
    return found.ticket;
  }

  /** A session for a new ticket. Throws {status, problem}. */
  async #enter() {
    const body = JSON.stringify({ ticket: await this.#ticket() });
    const headers = { "content-type": "application/json" };
    const response = await fetch(new URL("v1/session", BASE), { method: "POST", headers, body, credentials: "omit", cache: "no-store" });
    const found = await response.json();
    if (!response.ok) throw { status: response.status, problem: found.detail };
    return found.session;
  }

  /** What the server answers, or {status, problem}. */
  async #call(path, body, again = true) {
    const asked = body ? { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } } : { headers: {} };
    try {
      const tickets = this.hasAttribute("tickets");
      if (tickets) asked.headers.authorization = `Bearer ${(this.#session ??= await this.#enter())}`;
      const response = await fetch(new URL(path, BASE), { ...asked, credentials: tickets ? "omit" : "include", cache: "no-store" });
      if (tickets && response.status === 401 && again) {
        this.#session = null; // it is over: a new ticket opens the next
        return this.#call(path, body, false);
      }
      const found = await response.json();
      return response.ok ? found : { status: response.status, problem: found.detail ?? response.statusText };
    } catch (failure) {
      if (failure.problem) return failure;
      return { status: 0, problem: this.#words?.unreachable ?? `${BASE.host} could not be reached.` };
    }
  }
}

if (!customElements.get("pullquote-chat")) customElements.define("pullquote-chat", PullquoteChat);

// The portal decides the theme; both embeddings follow it.
document.querySelector("#theme").addEventListener("click", () => {
  const dark = document.body.classList.toggle("dark");
  for (const chat of document.querySelectorAll("pullquote-chat")) chat.setAttribute("theme", dark ? "dark" : "light");
});

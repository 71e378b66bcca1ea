// Buttons inside the turns, and keeping the newest line in sight. `element` and `trigger` are Gradio's.
function edit(article, button) {
  const bubble = article.querySelector(".asked .bubble");
  if (article.querySelector(".editor")) return;
  const form = document.createElement("form");
  form.className = "editor";
  const field = document.createElement("textarea");
  field.value = button.dataset.text;
  field.setAttribute("aria-label", "The message");
  const send = document.createElement("button");
  send.textContent = "Send";
  form.append(field, send);
  bubble.after(form);
  field.focus();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.remove();
    trigger("edited", { turn: article.dataset.turn, text: field.value, heard: window.arOmniSpeech.stop() });
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); form.requestSubmit(); }
    if (event.key === "Escape") form.remove();
  });
}

const doing = {
  edit,
  again: (article) => trigger("again", { turn: article.dataset.turn, heard: window.arOmniSpeech.stop() }),
  copy: (article) => navigator.clipboard?.writeText(article.querySelector(".reply .text").innerText),
  example: (_, button) => trigger("example", { index: Number(button.dataset.text) }),
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button) doing[button.dataset.do](button.closest("article"), button);
});

const scroller = document.getElementById("conversation");
if (!scroller.dataset.watched) { // both parts of the conversation run this; one of them is enough
  scroller.dataset.watched = "yes";
  let pinned = true;
  scroller.addEventListener("scroll", () => {
    pinned = scroller.scrollTop + scroller.clientHeight > scroller.scrollHeight - 80;
  }, { passive: true });
  const observer = new ResizeObserver(() => { if (pinned) scroller.scrollTop = scroller.scrollHeight; });
  for (const part of scroller.children) observer.observe(part);
}

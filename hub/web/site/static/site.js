// What pages do besides links and forms: dialogs, the menu of narrow screens, and the token of htmx's requests.
"use strict";

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) {
    document.getElementById(opener.dataset.opens).showModal();
  } else if (event.target.closest("[data-closes]")) {
    event.target.closest("dialog").close();
  }
});

// One click, one request: what was sent is not sent again while the answer is on its way.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  // What downloads leaves the page as it is, and may be asked for again.
  if ("download" in form.dataset) return;
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("button:not([type=button])")) button.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  }
});

// A file that is too large is told before it is sent.
document.addEventListener("change", (event) => {
  const most = Number(event.target.dataset.most);
  if (!most) return;
  const file = event.target.files[0];
  event.target.setCustomValidity(file && file.size > most ? event.target.dataset.tooLarge : "");
  event.target.reportValidity();
});

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-Form-Token"] = document.body.dataset.formToken || "";
});

// The navigation is open where there is room for it, and behind its button where there is none.
const menu = document.getElementById("menu");
if (menu) {
  const wide = window.matchMedia("(min-width: 60rem)");
  const fit = () => { menu.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();
}

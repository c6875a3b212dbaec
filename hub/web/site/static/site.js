// What pages do besides links and forms: dialogs, the menu of narrow screens, the token of htmx's requests, and live
// parts as long as somebody sees them.
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

// A browser has six connections for this host over all its tabs. Only a page that is seen holds its streams: one that is
// hidden lets go of them, and says what it heard last when it takes them up again. To htmx it is one stream all along.
class SeenSource extends EventTarget {
  constructor(address) {
    super();
    this.address = address;
    this.names = new Set();
    this.last = "";
    this.source = null;
    this.isOver = false;
    this.follow = () => { if (document.hidden) this.rest(); else this.open(); };
    document.addEventListener("visibilitychange", this.follow);
    this.follow();
  }

  get readyState() {
    if (this.isOver) return EventSource.CLOSED;
    return this.source ? this.source.readyState : EventSource.CONNECTING;
  }

  addEventListener(name, listener) {
    super.addEventListener(name, listener);
    if (this.names.has(name)) return;
    this.names.add(name);
    if (this.source) this.pass(name);
  }

  open() {
    if (this.source) return;
    const address = new URL(this.address, document.baseURI);
    if (this.last) address.searchParams.set("last-event-id", this.last);
    const source = this.source = new EventSource(address);
    source.onopen = (event) => { if (this.onopen) this.onopen(event); };
    source.onerror = (event) => {
      // Refused, and not tried again by the browser: htmx makes another one.
      if (source.readyState === EventSource.CLOSED) this.close();
      if (this.onerror) this.onerror(event);
    };
    this.names.forEach((name) => this.pass(name));
  }

  pass(name) {
    this.source.addEventListener(name, (event) => {
      this.last = event.lastEventId;
      this.dispatchEvent(new MessageEvent(name, { data: event.data, lastEventId: event.lastEventId }));
    });
  }

  rest() {
    if (this.source) this.source.close();
    this.source = null;
  }

  close() {
    this.isOver = true;
    document.removeEventListener("visibilitychange", this.follow);
    this.rest();
  }
}
if (window.htmx) htmx.createEventSource = (address) => new SeenSource(address);

// The navigation is open where there is room for it, and behind its button where there is none.
const menu = document.getElementById("menu");
if (menu) {
  const wide = window.matchMedia("(min-width: 60rem)");
  const fit = () => { menu.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();
}

/*! deskmoe chat widget, Apache-2.0. One script tag puts a chat bubble on any page:

    <script src="https://HOST/widget.js" data-site="NAME" async></script>

The visitor's session lies in this page's own storage and goes to the frame by a message channel, whose two
ends have checked each other's origin. So it needs no cookies, and nothing of it stands in an address.
See docs/embedding.md for `window.deskmoe`. */

(() => {
	"use strict";

	const script = document.currentScript;
	if (!script || window.deskmoe) return;

	const site = script.dataset.site || "";
	const base = new URL(".", script.src);
	const store = `deskmoe:${base.host}:${site}`;
	const small = window.matchMedia("(max-width: 480px)");

	const WORDS = {
		en: { open: "Open chat", close: "Close chat", chat: "Chat", unread: "new messages", loading: "Loading the chat…" },
		de: { open: "Chat öffnen", close: "Chat schließen", chat: "Chat", unread: "neue Nachrichten", loading: "Der Chat wird geladen …" },
		es: { open: "Abrir el chat", close: "Cerrar el chat", chat: "Chat", unread: "mensajes nuevos", loading: "Cargando el chat…" },
		fr: { open: "Ouvrir le chat", close: "Fermer le chat", chat: "Chat", unread: "nouveaux messages", loading: "Chargement du chat…" },
	};

	const STYLE = `
		:host { all: initial; --color: #1d4b75; }
		* { box-sizing: border-box; }
		button { font: inherit; cursor: pointer; border: none; padding: 0; }
		button:focus-visible { outline: 3px solid #fff; outline-offset: -5px; box-shadow: 0 0 0 3px var(--color); }
		.bubble, .panel { position: fixed; z-index: 2147483000; right: 20px; }
		:host([position=left]) .bubble, :host([position=left]) .panel { right: auto; left: 20px; }
		.bubble { bottom: 20px; width: 60px; height: 60px; border-radius: 50%; background: var(--color); color: #fff;
			display: grid; place-items: center; box-shadow: 0 6px 24px rgb(10 29 49 / 32%); transition: transform .16s ease; }
		.bubble:hover { transform: scale(1.06); }
		.bubble svg { width: 28px; height: 28px; grid-area: 1 / 1; transition: opacity .16s ease, transform .2s ease; }
		.bubble .cross, .open .bubble .talk { opacity: 0; transform: rotate(-45deg) scale(.6); }
		.open .bubble .cross { opacity: 1; transform: none; }
		.badge { position: absolute; top: -3px; right: -3px; min-width: 22px; height: 22px; padding: 0 6px; border-radius: 11px;
			background: #b42318; color: #fff; font: 600 12px/22px system-ui, sans-serif; text-align: center; }
		.badge:empty { display: none; }
		.panel { bottom: 94px; width: 400px; height: min(680px, calc(100dvh - 114px)); border-radius: 18px; overflow: hidden;
			background: #fff; box-shadow: 0 18px 60px rgb(10 29 49 / 28%), 0 0 0 1px rgb(10 29 49 / 8%);
			visibility: hidden; opacity: 0; transform: translateY(14px) scale(.98); transform-origin: bottom right;
			transition: opacity .18s ease, transform .18s ease, visibility 0s .18s; }
		.open .panel { visibility: visible; opacity: 1; transform: none; transition-delay: 0s; }
		iframe { position: absolute; inset: 0; width: 100%; height: 100%; border: none; color-scheme: light dark; }
		.loading { position: absolute; inset: 0; display: grid; place-items: center; align-content: center; gap: 14px;
			color: #566575; font: 15px/1.4 system-ui, sans-serif; }
		.loading::before { content: ""; width: 30px; height: 30px; border-radius: 50%; border: 3px solid #dce9f3;
			border-top-color: var(--color); animation: turn .9s linear infinite; }
		.ready .loading, .shut { display: none; }
		@keyframes turn { to { transform: rotate(1turn); } }
		.quiet { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
		@media (prefers-color-scheme: dark) { .panel { background: #111a24; } .loading { color: #9fb0c0; } }
		@media (max-width: 480px) {
			.panel, :host([position=left]) .panel { inset: 0; width: 100%; height: 100dvh; border-radius: 0; }
			.open .bubble { display: none; }
			.shut { display: grid; place-items: center; position: absolute; top: 8px; right: 8px; z-index: 1; width: 44px;
				height: 44px; border-radius: 12px; background: transparent; color: #566575; }
			.shut:focus-visible { outline-color: var(--color); }
			.shut svg { width: 22px; height: 22px; }
		}
		@media (prefers-reduced-motion: reduce) {
			.bubble, .bubble svg, .panel, .open .panel { transition: none; }
			.loading::before { animation-duration: 4s; }
		}`;

	const CROSS = `<path d="M6 6l12 12M18 6L6 18"/>`;
	const TALK = `<path d="M4 5.5h16v11H12l-5 4v-4H4z"/><path d="M8.5 9.5h7M8.5 12.5h4.5"/>`;
	const icon = (name, paths) => `<svg class="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor"
		stroke-width="1.9" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${paths}</svg>`;

	/* What outlives this page: {session, seen, known}; and for as long as the tab lives, whether the chat is open. */
	let memory = {};
	function recall() {
		try {
			memory = JSON.parse(localStorage.getItem(store)) || memory;
		} catch { /* no storage, or not ours: the visitor talks until the page is left */ }
	}
	function remember(change) {
		Object.assign(memory, change);
		try {
			localStorage.setItem(store, JSON.stringify(memory));
		} catch { /* as above */ }
	}
	function wasOpen(now) {
		try {
			if (now === undefined) return sessionStorage.getItem(store) === "open";
			sessionStorage.setItem(store, now ? "open" : "closed");
		} catch { /* as above */ }
		return false;
	}

	const listeners = { ready: new Set(), message: new Set(), handoff: new Set(), unread: new Set() };
	let words = WORDS.en, port = null, frame = null, isOpen = false, isReady = false, wantsFocus = false, unread = 0, last = 0;
	let customer = null, answerCustomer = null, root, bubble, panel, badge, news, shut, loading;

	function tell(name, detail) {
		for (const listener of listeners[name]) {
			try {
				listener(detail);
			} catch (error) {
				setTimeout(() => { throw error; }); // for the console; the chat goes on
			}
		}
	}

	function build() {
		const host = document.createElement("deskmoe-chat");
		if (script.dataset.position === "left") host.setAttribute("position", "left");
		if (script.dataset.color) host.style.setProperty("--color", script.dataset.color);
		const shadow = host.attachShadow({ mode: "open" });
		const sheet = new CSSStyleSheet(); // not a <style>: the page's own policy may forbid that
		sheet.replaceSync(STYLE);
		shadow.adoptedStyleSheets = [sheet];
		shadow.innerHTML = `<div class="root">
			<div class="panel" id="panel" role="dialog"><span class="trap" data-to="end"></span>
				<button class="shut" type="button">${icon("", CROSS)}</button>
				<div class="loading"><span></span></div><span class="trap" data-to="start"></span></div>
			<button class="bubble" type="button" aria-controls="panel" aria-expanded="false">${icon("talk", TALK)}${icon("cross", CROSS)}
				<span class="badge" aria-hidden="true"></span></button>
			<div class="quiet" role="status"></div></div>`;
		const find = (name) => shadow.querySelector(`.${name}`);
		[root, panel, bubble, badge, news, shut, loading] =
			["root", "panel", "bubble", "badge", "quiet", "shut", "loading"].map(find);
		bubble.addEventListener("click", toggle);
		shut.addEventListener("click", close);
		shadow.addEventListener("keydown", (event) => event.key === "Escape" && close());
		for (const trap of shadow.querySelectorAll(".trap")) {
			trap.addEventListener("focus", () => (trap.dataset.to === "end" ? frame : shut).focus());
		}
		small.addEventListener("change", mark);
		document.body.append(host);
		mark();
	}

	/* Puts the state into what is seen and into what is read aloud. */
	function mark() {
		if (!root) return;
		root.classList.toggle("open", isOpen);
		root.classList.toggle("ready", isReady);
		const count = unread ? `, ${unread} ${words.unread}` : "";
		bubble.setAttribute("aria-expanded", String(isOpen));
		bubble.setAttribute("aria-label", isOpen ? words.close : words.open + count);
		shut.setAttribute("aria-label", words.close);
		panel.setAttribute("aria-label", words.chat);
		loading.firstChild.textContent = words.loading;
		badge.textContent = unread ? (unread > 9 ? "9+" : unread) : "";
		// A chat that covers the page keeps the focus; beside the page it lets it go.
		const modal = isOpen && small.matches;
		panel.toggleAttribute("aria-modal", modal);
		if (modal) panel.setAttribute("aria-modal", "true");
		for (const trap of panel.querySelectorAll(".trap")) {
			if (modal) trap.tabIndex = 0;
			else trap.removeAttribute("tabindex");
		}
		if (frame) frame.title = words.chat;
	}

	function load() {
		if (frame || !root) return;
		frame = document.createElement("iframe");
		frame.title = words.chat;
		frame.allow = "clipboard-write";
		frame.src = `${base.href}?site=${encodeURIComponent(site)}`;
		panel.insertBefore(frame, panel.lastChild);
	}

	window.addEventListener("message", (event) => {
		if (!frame || event.source !== frame.contentWindow || event.origin !== base.origin) return;
		if (!event.data || event.data.deskmoe !== "hello") return;
		const channel = new MessageChannel();
		port = channel.port1;
		port.onmessage = hear;
		const greeting = { deskmoe: "connect", session: memory.session, seen: memory.seen, customer };
		frame.contentWindow.postMessage(greeting, base.origin, [channel.port2]);
	});

	function hear({ data }) {
		switch (data.type) {
			case "session":
				if (data.session !== memory.session) {
					remember({ session: data.session, seen: 1 });
					count(0);
				}
				break;
			case "ready":
				isReady = true;
				mark();
				tell("ready");
				focusChat();
				break;
			case "message":
				last = Math.max(last, data.message.seq);
				if (isOpen) remember({ seen: last });
				else if (data.message.author !== "customer") count(unread + 1);
				tell("message", data.message);
				break;
			case "handoff":
				tell("handoff");
				break;
			case "customer":
				if (answerCustomer) answerCustomer(data.problem);
				break;
			case "close":
				close();
		}
	}

	function post(message) {
		if (port) port.postMessage(message);
	}

	function count(number) {
		if (number === unread) return;
		const more = number > unread;
		unread = number;
		mark();
		news.textContent = more ? `${unread} ${words.unread}` : "";
		tell("unread", unread);
	}

	function open() {
		if (isOpen || !root) return;
		show();
		wantsFocus = true;
		focusChat();
	}

	function show() {
		isOpen = true;
		wasOpen(true);
		load();
		if (last) remember({ seen: last });
		count(0);
		mark();
	}

	/* Once the chat is there; and not where it is open only because it was so on the page before. */
	function focusChat() {
		if (!isOpen || !isReady || !wantsFocus) return;
		wantsFocus = false;
		frame.focus();
		post({ type: "opened" });
	}

	function close() {
		if (!isOpen) return;
		isOpen = false;
		wasOpen(false);
		const within = document.activeElement === root.getRootNode().host;
		mark();
		if (within) bubble.focus();
	}

	function toggle() {
		if (isOpen) close();
		else open();
	}

	/* Says who the visitor is, with a token that your server signed; null where nobody is signed in.
	   Resolves when it was accepted, and rejects with the reason. */
	function setCustomer(token) {
		if (token === null) {
			if (memory.known) reset();
			return Promise.resolve();
		}
		customer = token;
		load();
		post({ type: "customer", token });
		return new Promise((resolve, reject) => {
			answerCustomer = (problem) => {
				if (problem) return reject(new Error(problem));
				remember({ known: true });
				resolve();
			};
		});
	}

	/* Forgets the conversation, as when another visitor may come to this browser. */
	function reset() {
		customer = null;
		remember({ session: null, seen: 0, known: false });
		last = 0;
		count(0);
		post({ type: "reset" });
	}

	/* "de" or "de-CH"; the bot itself answers in the language of its pack. */
	function setLocale(locale) {
		words = WORDS[String(locale).slice(0, 2).toLowerCase()] || WORDS.en;
		mark();
	}

	/* Calls `listener` at every "ready", "message", "handoff" or "unread"; returns what ends that. */
	function on(name, listener) {
		if (!listeners[name]) throw new Error(`deskmoe has no event ${name}`);
		listeners[name].add(listener);
		if (name === "ready" && isReady) listener();
		return () => listeners[name].delete(listener);
	}

	function begin() {
		recall();
		setLocale(script.dataset.locale || document.documentElement.lang || "en");
		build();
		const idle = window.requestIdleCallback || ((work) => setTimeout(work, 200));
		const look = () => (document.hidden ? document.addEventListener("visibilitychange", load, { once: true }) : load());
		const later = () => idle(look, { timeout: 3000 });
		if (wasOpen()) show();
		else if (document.readyState === "complete") later();
		else window.addEventListener("load", later);
		document.dispatchEvent(new Event("deskmoe:loaded"));
	}

	window.deskmoe = { open, close, toggle, setCustomer, setLocale, reset, on };
	if (document.body) begin();
	else document.addEventListener("DOMContentLoaded", begin);
})();

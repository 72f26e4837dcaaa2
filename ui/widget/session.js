/* The visitor's session on the chat page. Alone, the page keeps it in its own storage. In a site's frame it may
   have none: there the site's page keeps it, and the two talk over a channel after each has checked the other. */

const framed = window.parent !== window;
const site = new URLSearchParams(location.search).get("site") || "";
const STORE = "deskmoe-session";
const PATIENCE_MS = 10000;
const LONGEST_PAUSE_MS = 30000;

let port = null; // to the page that holds us
let current = null;
let customer = null; // the identity token of who is signed in to the page around
let last; // number of the last message that the page around knows of
let status = null;
let stream = null;

document.documentElement.classList.toggle("embedded", framed);

const connected = framed ? connect() : null;

/* The session that this browser had, if any. */
export async function session() {
	if (!framed) {
		try {
			return localStorage.getItem(STORE);
		} catch {
			return null;
		}
	}
	const greeting = await connected;
	if (!greeting) return null;
	customer = greeting.customer;
	last = greeting.session ? greeting.seen : undefined;
	return greeting.session || null;
}

/* Keeps a session that the page has opened. */
export function keep(opened) {
	if (!opened || opened === current) return;
	const first = current === null;
	if (!first) last = undefined;
	current = opened;
	status = null;
	if (framed) {
		post({ type: "session", session: opened });
		if (first) post({ type: "ready" });
	} else {
		try {
			localStorage.setItem(STORE, opened);
		} catch { /* the conversation lasts until the page is left */ }
		if (first) focusBox();
	}
	identify();
	follow();
}

/* Offers itself to the page around, and takes the first answer that comes from an origin of the site. */
function connect() {
	const listed = fetch(`/widget/origins?site=${encodeURIComponent(site)}`).then((answer) => answer.json());
	return new Promise((resolve) => {
		window.addEventListener("message", async (event) => {
			if (event.source !== window.parent || event.data?.deskmoe !== "connect" || !event.ports[0]) return;
			const { origins } = await listed;
			if (port || !origins.includes(event.origin)) return;
			port = event.ports[0];
			port.onmessage = hear;
			resolve(event.data);
		});
		window.parent.postMessage({ deskmoe: "hello" }, "*"); // it says nothing that a stranger may not know
		setTimeout(() => resolve(null), PATIENCE_MS);
		window.addEventListener("keydown", (event) => event.key === "Escape" && post({ type: "close" }));
	});
}

function hear({ data }) {
	switch (data.type) {
		case "opened":
			focusBox();
			break;
		case "customer":
			customer = data.token;
			identify();
			break;
		case "reset":
			customer = null;
			beginAnew();
	}
}

function post(message) {
	port?.postMessage(message);
}

function focusBox() {
	// On a telephone the keyboard would cover half of what is to be read first.
	if (!window.matchMedia("(pointer: coarse)").matches) document.querySelector("#box textarea")?.focus();
}

function beginAnew() {
	document.querySelector("#new")?.click();
}

function request(path, options = {}) {
	const [id, token] = current.split(".");
	const headers = { Authorization: `Bearer ${token}`, ...options.headers };
	return fetch(`/v1/conversations/${id}/${path}`, { ...options, headers, credentials: "omit" });
}

/* Tells the server who the customer is; in a conversation that is another customer's, after a new one began. */
async function identify() {
	if (!customer || !current) return;
	const body = JSON.stringify({ token: customer });
	try {
		const answer = await request("customer", { method: "PUT", body, headers: { "Content-Type": "application/json" } });
		if (answer.status === 409) return beginAnew();
		const problem = answer.ok ? null : (await answer.json()).detail;
		if (problem) customer = null;
		post({ type: "customer", problem });
	} catch (error) {
		post({ type: "customer", problem: String(error) });
	}
}

/* Follows the conversation for the page around, while anybody looks: browsers allow a server few connections. */
function follow() {
	stream?.abort();
	if (framed && current && !document.hidden) watch((stream = new AbortController()));
}

document.addEventListener("visibilitychange", follow);

async function watch(mine) {
	let pause = 1000;
	while (!mine.signal.aborted) {
		try {
			const query = last === undefined ? "" : `?after=${last}`;
			const answer = await request(`events${query}`, {
				signal: mine.signal,
				headers: { Accept: "text/event-stream" },
			});
			if (answer.status === 404) return;
			if (!answer.ok) throw new Error(answer.statusText);
			for await (const { name, data } of readEvents(answer.body)) {
				pause = 1000;
				happen(name, data);
			}
		} catch {
			if (mine.signal.aborted) return;
		}
		await new Promise((resolve) => setTimeout(resolve, pause));
		pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
	}
}

async function* readEvents(body) {
	const reader = body.pipeThrough(new TextDecoderStream()).getReader();
	let text = "";
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return;
		text += value;
		const blocks = text.split("\n\n");
		text = blocks.pop();
		for (const block of blocks) {
			const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
			if (fields.event) yield { name: fields.event, data: JSON.parse(fields.data) };
		}
	}
}

function happen(name, data) {
	if (name === "message") {
		last = data.seq;
		post({ type: "message", message: data });
	} else if (name === "status") {
		last ??= data.last;
		if (data.status === "handed_over" && status !== null && status !== data.status) post({ type: "handoff" });
		status = data.status;
	}
}

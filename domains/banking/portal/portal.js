/* What a portal's own pages do with the chat: tell it who is signed in, and open it from a button.

   Here "signing in" is choosing a name. A real portal's server puts a fresh identity token into the page. */

const who = document.querySelector("#who");
const KEY = "harbor-portal-customer";

async function signIn(customer) {
	if (!customer) return window.deskmoe.setCustomer(null);
	const answer = await fetch("identity", {
		method: "POST",
		headers: { "Content-Type": "application/json" },
		body: JSON.stringify({ customer }),
	});
	const { token } = await answer.json();
	return window.deskmoe.setCustomer(token);
}

who.value = localStorage.getItem(KEY) || "";
if (who.value) signIn(who.value);

who.addEventListener("change", () => {
	localStorage.setItem(KEY, who.value);
	signIn(who.value);
});

for (const button of document.querySelectorAll("[data-chat]")) {
	button.addEventListener("click", () => window.deskmoe.open());
}

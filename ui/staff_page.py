"""What the pages for staff have in common: the head with the way to the other pages, and out."""

from html import escape

import gradio as gr

from storage.staff import Staff, form_token
from ui.guard import COOKIE, ROLES, SIGN_IN, SIGN_OUT, staff_of

ENDED = """
<script>
  // A session that has ended shows the sign-in, not an error in a corner.
  const plain = window.fetch;
  window.fetch = async (...request) => {
    const answer = await plain(...request);
    if (answer.status === 401) location.href = "SIGN_IN?next=" + location.pathname.replace(/\\/$/, "");
    return answer;
  };
</script>
""".replace("SIGN_IN", SIGN_IN)
PICK = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-id]");
  if (button) trigger("select", {id: button.dataset.id});
});
let focused = null;
element.addEventListener("focusin", (event) => { focused = event.target.dataset?.id ?? null; });
element.addEventListener("focusout", (event) => { if (event.relatedTarget) focused = null; });
watch("value", () => {
  if (!focused) return;
  element.querySelector(`button[data-id="${CSS.escape(focused)}"]`)?.focus({preventScroll: true});
});
"""
"""For a list of cards, which may be made anew under somebody's keyboard."""
SHOW_LAST = """
const box = element.closest("#talk");
let reads = false;
let shown = null;
const follow = () => { if (!reads) box.scrollTo(0, 1e9); };
const look = () => { reads = box.scrollTop + box.clientHeight < box.scrollHeight - 60; };
for (const kind of ["wheel", "touchmove", "keydown", "pointerup"])
  box.addEventListener(kind, () => setTimeout(look, 100), {passive: true});
new ResizeObserver(follow).observe(box);
watch("value", () => {
  const now = element.querySelector("[data-case]")?.dataset.case;
  if (now !== shown) reads = false;
  shown = now;
  follow();
});
follow();
"""
"""The end of a conversation stays in view, but for somebody who reads further up."""


def who(request: gr.Request) -> Staff:
    """Who is at the page; the guard has let in nobody else."""
    assert request.request is not None
    staff = staff_of(request.request.scope)
    if staff is None:
        raise PermissionError("A page for staff was asked for past the guard")
    return staff


def show_header(business: str, here: str, staff: Staff, request: gr.Request) -> str:
    """`here` is the path of the page, such as /desk."""
    links = "".join(
        f'<a href="{path}/"{" aria-current=page" if path == here else ""}>{path[1:].capitalize()}</a>'
        for path, roles in ROLES.items()
        if staff.role in roles
    )
    token = form_token(request.cookies.get(COOKIE, ""))
    return f"""
    <header>
      <div class="monogram" aria-hidden="true">{escape(business[:1])}</div>
      <h1>{escape(business)}</h1>
      <nav aria-label="Pages">{links}</nav>
      <span class="me">{escape(staff.name)} <small>{staff.role}</small></span>
      <form method="post" action="{SIGN_OUT}">
        <input type="hidden" name="form" value="{token}"><button>Sign out</button>
      </form>
    </header>
    """

"""The learning page's parts as HTML. All that comes from people is escaped here."""

from collections.abc import Sequence
from html import escape

from chatbot.learning import Job, Learning
from storage.policies import PolicyVersion

NAMES = {"policy": "Dialogue policy", "nlu": "NLU"}


def show_running(job: Job | None) -> str:
    if job is None:
        return '<p class="quiet">Nothing is being learnt.</p>'
    share = "" if job.progress is None else f' value="{job.progress:.2f}"'
    steps = "".join(f"<li>{escape(step)}</li>" for step in job.steps)
    return f"""
    <div class="job"><p><b>{NAMES[job.kind]}</b>, begun by {escape(job.by)} at {job.began:%H:%M} UTC</p>
      <progress max="1"{share} aria-label="How far it is"></progress>
      <ol class="plain">{steps}</ol></div>
    """


def show_jobs(jobs: Sequence[Job], learning: Learning) -> str:
    ended = [job for job in jobs if job.status != "running"]
    if not ended:
        return ""
    rows = "".join(
        f"<li><b>{NAMES[job.kind]}</b> {job.began:%b %d, %H:%M}, {job.status}: {escape(job.words)} "
        f"{_report(job, learning)}</li>"
        for job in ended
    )
    return f'<h2>So far</h2><ul class="plain jobs">{rows}</ul>'


def _report(job: Job, learning: Learning) -> str:
    if learning.report(job.id) is None:
        return ""
    return f'<a href="/learning/reports/{job.id}" target="_blank" rel="noopener">Read the report</a>'


def show_versions(versions: Sequence[PolicyVersion]) -> str:
    """The newest first."""
    titles = ("Version", "Status", "Verdict", "From", "Conversations", "Made", "Served")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    rows = "".join(_version(version) for version in reversed(versions))
    return f"""
    <h2>Versions of the policy</h2>
    <div class="scrolling" tabindex="0" role="region" aria-label="Versions of the policy">
      <table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>
    """


def status_of(version: PolicyVersion) -> str:
    if version.withdrawn:
        return "rolled back"
    return f"canary, {version.share:.0%}" if version.status == "canary" else version.status


def _version(version: PolicyVersion) -> str:
    cells = (
        status_of(version),
        str(version.figures.get("verdict", "")),
        version.parent or "",
        f"{version.conversations:,}" if version.conversations else "",
        f"{version.created_at:%b %d, %H:%M}" if version.created_at else "",
        f"{version.served_at:%b %d, %H:%M}" if version.served_at else "",
    )
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(version.version)}</th>{shown}</tr>'

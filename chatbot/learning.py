"""Retraining beside the server: a process of its own, one at a time, whose files tell how it goes."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy import Engine

from domains.schema import Pack
from storage import review
from storage.audit import Deed, write_down
from storage.faults import StorageError
from storage.staff import Staff

Kind = Literal["policy", "nlu"]
Status = Literal["running", "done", "failed", "cancelled"]
JOB = re.compile(r"(policy|nlu)-\d{8}-\d{6}")
EPOCH = re.compile(r"epoch \d+: ")
ABOUT, SAID, TOLD, CODE, REPORT = "job.json", "out.txt", "told.txt", "code", "report.html"
LOCK = "lock"
POLITENESS = 10
"""By how much a job is nicer than the server, which goes on to serve."""
PATIENCE_SECONDS = 10.0
"""Between the request to end and the end by force."""
STAGES = 5
"""What retraining the policy tells: read, fitted, three ways to learn."""


class LearningError(StorageError):
    """A job that cannot begin or end; the message is fit for the page."""


@dataclass(frozen=True)
class Job:
    id: str
    kind: Kind
    by: str
    began: datetime
    status: Status
    words: str
    """What came of it, or what went wrong, in one line."""
    steps: tuple[str, ...]
    """What it has told so far."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """What the command printed."""

    @property
    def progress(self) -> float | None:
        """Share of the way; None where nobody knows."""
        return min(1.0, len(self.steps) / STAGES) if self.kind == "policy" else None


class Learning:
    """The jobs whose files lie in `folder`. The lock is held by the job itself, also when the server ends.

    `options` are given to the commands besides.
    """

    def __init__(
        self, engine: Engine, pack: Pack, folder: Path, options: Mapping[Kind, Sequence[str]] | None = None
    ) -> None:
        self.engine, self.pack, self.folder = engine, pack, folder.absolute()
        self.options = options or {}
        self._looking = threading.Lock()

    def start(self, kind: Kind, staff: Staff) -> Job:
        """Raises LearningError where one is running, or there is nothing to learn from."""
        _check(staff)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone() as lock:
            home = self.folder / f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
            home.mkdir()
            try:
                command = self._command(kind, home)
                write_down(self.engine, Deed(f"learning.{kind}", home.name, staff.actor))
                process = self._run(command, home, lock)
            except Exception:
                shutil.rmtree(home)
                raise
            about = {"by": staff.name, "began": datetime.now(UTC).isoformat(), "pid": process.pid}
            (home / ABOUT).write_text(json.dumps(about), encoding="utf-8")
        threading.Thread(target=_wait, args=(process, home), daemon=True).start()
        return self.job(home.name)

    def cancel(self, job_id: str, staff: Staff) -> None:
        """End a job and delete what it has made. Raises LearningError where it is not running."""
        _check(staff)
        home = self._home(job_id)
        if self.job(job_id).status != "running":
            raise LearningError("This job is not running any more")
        about = json.loads((home / ABOUT).read_text(encoding="utf-8"))
        (home / ABOUT).write_text(json.dumps(about | {"cancelled": staff.name}), encoding="utf-8")
        write_down(self.engine, Deed("learning.cancel", job_id, staff.actor))
        _end(about["pid"], self._busy)
        for made in home.iterdir():
            if made.is_dir():
                shutil.rmtree(made)
            elif made.name not in (ABOUT, SAID, TOLD, CODE):
                made.unlink()

    def jobs(self, last: int = 10) -> tuple[Job, ...]:
        """The newest first."""
        if not self.folder.is_dir():
            return ()
        homes = [
            home for home in self.folder.iterdir() if JOB.fullmatch(home.name) and (home / ABOUT).exists()
        ]
        newest = sorted(homes, key=lambda home: home.name.partition("-")[2], reverse=True)[:last]
        return tuple(self.job(home.name) for home in newest)

    def job(self, job_id: str) -> Job:
        """Raises LearningError where there is none."""
        home = self._home(job_id)
        about = json.loads((home / ABOUT).read_text(encoding="utf-8"))
        kind = cast(Kind, job_id.partition("-")[0])
        told, said = _lines(home / TOLD), _lines(home / SAID)
        status = self._status(home, about)
        result = _result(said) if status == "done" else {}
        steps = told if kind == "policy" else [line for line in said if EPOCH.match(line)]
        return Job(
            id=job_id,
            kind=kind,
            by=about["by"],
            began=datetime.fromisoformat(about["began"]),
            status=status,
            words=_words(kind, status, about, told, result),
            steps=tuple(step for step in steps if not step.startswith("error:")),
            result=result,
        )

    def report(self, job_id: str) -> Path | None:
        """The report of a job that wrote one."""
        report = self.folder / job_id / REPORT
        return report if JOB.fullmatch(job_id) and report.is_file() else None

    def _home(self, job_id: str) -> Path:
        home = self.folder / job_id
        if not JOB.fullmatch(job_id) or not (home / ABOUT).exists():
            raise LearningError(f"There is no job {job_id!r}")
        return home

    def _status(self, home: Path, about: Mapping[str, Any]) -> Status:
        code = home / CODE
        if "cancelled" in about:
            return "cancelled"
        if code.exists():
            return "done" if code.read_text() == "0" else "failed"
        if self._busy() and about == self._newest():
            return "running"
        return "done" if _result(_lines(home / SAID)) else "failed"  # its server ended before it

    def _newest(self) -> Mapping[str, Any]:
        """About the job that began last, which is the one that can be running."""
        abouts = [json.loads(path.read_text(encoding="utf-8")) for path in self.folder.glob(f"*-*/{ABOUT}")]
        newest: Mapping[str, Any] = max(abouts, key=lambda about: str(about["began"]))
        return newest

    def _busy(self) -> bool:
        try:
            with self._alone():
                return False
        except LearningError:
            return True

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """The file of the lock, while nobody else holds it. Raises LearningError where somebody does."""
        with self._looking, (self.folder / LOCK).open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LearningError("Something is being learnt already; wait for it, or cancel it") from None
            yield lock.fileno()  # a process that is given the file goes on holding the lock

    def _command(self, kind: Kind, home: Path) -> list[str]:
        chatbot = [sys.executable, "-m", "chatbot.cli"]
        if kind == "policy":
            return [*chatbot, "retrain", "--out", str(home), "--json", *self.options.get(kind, ())]
        corrections = home / "corrections.jsonl"
        rows = [row for row in map(review.training_row, review.approved(self.engine, self.pack.name)) if row]
        if not rows:
            raise LearningError("No correction is approved yet, so the NLU has nothing new to learn")
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        corrections.write_text(text, encoding="utf-8")
        data = ["--data", str(corrections), "--format", "jsonl"]
        return [
            *chatbot,
            "train",
            "nlu",
            "--out",
            str(home / "nlu"),
            *data,
            "--json",
            *self.options.get(kind, ()),
        ]

    def _run(self, command: Sequence[str], home: Path, lock: int) -> subprocess.Popen[bytes]:
        environment = {
            "OMP_NUM_THREADS": "1",  # the other processors are for those who wait for an answer
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "CHATBOT_DATABASE": self.engine.url.render_as_string(hide_password=False),
        }
        with (home / SAID).open("wb") as said, (home / TOLD).open("wb") as told:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=told,
                env=environment,
                pass_fds=(lock,),
                start_new_session=True,
            )
        nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + POLITENESS)
        os.setpriority(os.PRIO_PROCESS, process.pid, nice)
        return process


def _check(staff: Staff) -> None:
    if not staff.supervises:
        raise LearningError("Only supervisors and administrators retrain")


def _wait(process: subprocess.Popen[bytes], home: Path) -> None:
    (home / CODE).write_text(str(process.wait()))


def _end(pid: int, busy: Callable[[], bool]) -> None:
    """End the job's processes: the lock says when they are gone."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, how)
        except ProcessLookupError:
            return
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if not busy():
                return
            time.sleep(0.05)


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _result(said: Sequence[str]) -> dict[str, Any]:
    """The JSON that a command ends with; nothing where it did not come so far."""
    try:
        found = json.loads(said[-1]) if said else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _words(
    kind: Kind, status: Status, about: Mapping[str, Any], told: Sequence[str], result: Mapping[str, Any]
) -> str:
    if status == "cancelled":
        return f"Cancelled by {about['cancelled']}"
    if status == "failed":
        return told[-1].removeprefix("error: ") if told else "It was interrupted"
    if status == "running":
        return told[-1] if told and kind == "policy" else "Running"
    if kind == "policy":
        return f"{result['candidate']}: {result['words']}"
    return f"{result['examples']} examples learnt; to serve it, start with CHATBOT_NLU={result['model']}"

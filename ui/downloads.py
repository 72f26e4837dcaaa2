"""Files that the pages for staff give away. They lie below the pages: the guard stands before them too."""

import json
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, JSONResponse, Response
from sqlalchemy import Engine

from chatbot import label_studio
from chatbot.bot import Chatbot
from chatbot.explanation import Explainer, as_json
from chatbot.learning import Learning
from storage import review
from storage.insights import look
from storage.played import UnknownTurn
from ui.guard import staff_of
from ui.insights_view import as_csv, period

MOST_TASKS = 1000
TurnNumber = Annotated[int, PathParameter(ge=1, le=999_999)]
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


def add_downloads(app: FastAPI, bot: Chatbot, explainer: Explainer, learning: Learning) -> None:
    engine: Engine = bot.store.engine
    pack = bot.pack

    def give(request: Request, action: str, name: str, rows: int, text: str, kind: str) -> Response:
        staff = staff_of(request.scope)
        review.note_export(engine, action, name, rows, staff.actor if staff else "")
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return Response(text, media_type=kind, headers=headers)

    @app.get("/review/corrections.jsonl", include_in_schema=False)
    def give_corrections(request: Request) -> Response:
        rows = [row for row in map(review.training_row, review.approved(engine, pack.name)) if row]
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        return give(request, "corrections.export", "corrections.jsonl", len(rows), text, "application/jsonl")

    @app.get("/review/label-studio.json", include_in_schema=False)
    def give_tasks(request: Request) -> Response:
        tasks = label_studio.write_tasks(review.find(engine, pack.name, limit=MOST_TASKS), pack)
        text = json.dumps(tasks, ensure_ascii=False)
        return give(request, "label_studio.export", "label-studio.json", len(tasks), text, "application/json")

    @app.get("/review/explanations/{conversation_id}/{turn}", include_in_schema=False)
    def give_explanation(conversation_id: str, turn: TurnNumber, request: Request) -> JSONResponse:
        staff = staff_of(request.scope)
        assert staff is not None  # the guard has let in nobody else
        try:
            found = explainer.explain(conversation_id, turn, staff)
        except UnknownTurn as error:
            raise HTTPException(404, str(error)) from None
        return JSONResponse(as_json(found), headers={"cache-control": "no-store"})

    @app.get("/learning/reports/{job}", include_in_schema=False)
    def give_report(job: str) -> FileResponse:
        report = learning.report(job)
        if report is None:
            raise HTTPException(404, "There is no such report.")
        headers = {"content-security-policy": REPORT_POLICY, "cache-control": "no-store"}
        return FileResponse(report, media_type="text/html", headers=headers)

    @app.get("/insights/insights.csv", include_in_schema=False)
    def give_insights(days: Annotated[int, Query(ge=1, le=3660)] = 30, site: str = "") -> Response:
        found = look(engine, pack.name, *period(days), site or None)
        headers = {"content-disposition": f'attachment; filename="insights-{days}-days.csv"'}
        return Response(as_csv(found), media_type="text/csv", headers=headers)

    @app.get("/review/label-studio.xml", include_in_schema=False)
    def give_interface() -> Response:
        headers = {"content-disposition": 'attachment; filename="label-studio.xml"'}
        return Response(label_studio.interface(pack), media_type="application/xml", headers=headers)

"""The insights: how the bot does, by day, by intent, and one policy version beside the other."""

from html import escape
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from chatbot.bot import Chatbot
from storage.insights import look, sites
from ui import insights_view as view
from ui.staff_page import show_header, who

PERIODS = [("7 days", 7), ("30 days", 30), ("90 days", 90), ("One year", 365)]
EVERYWHERE = [("All", "")]
LOOKS: dict[str, Any] = {"tooltip": "all", "height": 280, "buttons": []}
BARS = LOOKS | {"y_lim": [0, None]}

Updates = dict[Any, Any]


class InsightsPage:
    """The components of the page, and what fills them."""

    def __init__(self, bot: Chatbot) -> None:
        self.bot = bot
        self.business = bot.pack.domain.business
        self.blocks = gr.Blocks(title=f"Insights – {self.business}", analytics_enabled=False)
        self.blocks.queue(api_open=False)
        with self.blocks:
            self.header = gr.HTML(elem_id="top")
            with gr.Column(elem_id="insights"):
                with gr.Row(elem_id="period"):
                    self.period = gr.Dropdown(PERIODS, value=30, label="Period", elem_id="days")
                    self.site = gr.Dropdown(EVERYWHERE, value="", label="Site", elem_id="site")
                    self.file = gr.HTML(elem_id="csv")
                self.figures = gr.HTML()
                with gr.Row(elem_classes=["charts"]):
                    self.days = gr.LinePlot(
                        x="day", y="count", color="conversations", title="Conversations a day", **LOOKS
                    )
                    self.latency = gr.LinePlot(
                        x="day", y="ms", color="turns", title="Milliseconds of a turn", **LOOKS
                    )
                with gr.Row(elem_classes=["charts"]):
                    self.intents = gr.BarPlot(
                        x="intent",
                        y="count",
                        sort="-y",
                        title="Intents",
                        x_label_angle=-45,
                        **BARS | {"height": 400},
                    )
                with gr.Row(elem_classes=["charts"]):
                    self.handoffs = gr.BarPlot(x="reason", y="count", sort="-y", title="Handed over", **BARS)
                    self.ratings = gr.BarPlot(x="rating", y="count", title="Ratings by customers", **BARS)
                self.policies = gr.HTML()
            charts = [self.days, self.latency, self.intents, self.handoffs, self.ratings]
            everything = [self.figures, *charts, self.policies, self.file]
            quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
            filters = [self.period, self.site]
            self.blocks.load(self.load, self.period, [self.header, self.site, *everything], **quiet)
            for filter_ in filters:
                filter_.input(self.show, filters, everything, **quiet)

    def load(self, days: int, request: gr.Request) -> Updates:
        known = sites(self.bot.store.engine, self.bot.pack.name)
        return {
            self.header: show_header(self.business, "/insights", who(request), request),
            self.site: gr.update(choices=[*EVERYWHERE, *((site, site) for site in known)]),
        } | self.show(days, "")

    def show(self, days: int, site: str) -> Updates:
        found = look(self.bot.store.engine, self.bot.pack.name, *view.period(days), site or None)
        query = urlencode({"days": days, "site": site})
        return {
            self.figures: view.show_figures(found),
            self.days: view.days_frame(found),
            self.latency: view.latency_frame(found),
            self.intents: view.intents_frame(found),
            self.handoffs: view.handoffs_frame(found),
            self.ratings: view.ratings_frame(found),
            self.policies: view.show_policies(found),
            self.file: f'<a href="/insights/insights.csv?{escape(query)}" download>Download as CSV</a>',
        }

"""Colours and fonts of the page. Nothing is fetched from another site: the fonts are the visitor's own."""

import gradio as gr

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
FIXED_FONTS = ("ui-monospace", "Menlo", "Consolas", "monospace")
HARBOR = gr.themes.Color(
    c50="#eff5fa",
    c100="#dce9f3",
    c200="#bcd4e7",
    c300="#8fb6d5",
    c400="#5f94bf",
    c500="#3c76a6",
    c600="#2a5e8c",
    c700="#1d4b75",
    c800="#163c60",
    c900="#102d4a",
    c950="#0a1d31",
    name="harbor",
)


def build_theme() -> gr.themes.Base:
    """A deep blue on quiet greys, light and dark; chat.css does the rest."""
    theme = gr.themes.Base(
        primary_hue=HARBOR,
        secondary_hue=HARBOR,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_lg,
        font=SYSTEM_FONTS,
        font_mono=FIXED_FONTS,
    )
    return theme.set(
        body_background_fill="#eef2f6",
        body_background_fill_dark="#0b1119",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#111a24",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        border_color_primary_dark="#263442",
        body_text_color="#1b2733",
        body_text_color_dark="#e6edf4",
        body_text_color_subdued="#566575",
        body_text_color_subdued_dark="#9fb0c0",
        input_background_fill="#ffffff",
        input_background_fill_dark="#17212d",
        chatbot_text_size="1rem",
    )

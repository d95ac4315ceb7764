"""The look: a quiet theme in two lights, as Gradio's themes have it."""

from __future__ import annotations

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

CLAY = gr.themes.Color(
    "#fdf4ef", "#fae5d9", "#f4c8b1", "#eca582", "#e17f55", "#d0643a", "#b4502a", "#933f20", "#73331c", "#5a2a1a",
    "#33160c", "clay",
)
SAND = gr.themes.Color(
    "#faf9f7", "#f3f1ed", "#e6e3dc", "#d3cec4", "#a8a196", "#78716a", "#5c5751", "#45413c", "#2d2a27", "#211f1d",
    "#171614", "sand",
)


def theme() -> gr.themes.Base:
    base = gr.themes.Base(primary_hue=CLAY, secondary_hue=SAND, neutral_hue=SAND, font=SANS, font_mono=MONO,
                          spacing_size="sm", radius_size="md", text_size="md")
    return base.set(
        body_background_fill="*neutral_100", body_background_fill_dark="*neutral_950",
        background_fill_primary="#ffffff", background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50", background_fill_secondary_dark="*neutral_950",
        block_background_fill="transparent", block_background_fill_dark="transparent",
        block_border_width="0px", block_shadow="none", block_padding="0px",
        block_label_text_size="*text_sm", block_title_text_size="*text_sm", block_title_text_weight="500",
        block_title_text_color="*neutral_600", block_title_text_color_dark="*neutral_300",
        block_info_text_size="12px",
        block_info_text_color="*neutral_500", block_info_text_color_dark="*neutral_400",
        input_background_fill="#ffffff", input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_300", input_border_color_dark="#4a4641",
        input_border_color_focus="*primary_500", input_border_color_focus_dark="*primary_400",
        input_border_width="1px", input_shadow="none", input_shadow_focus="none", input_padding="7px 10px",
        input_placeholder_color="*neutral_500", input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600", button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="#ffffff", button_primary_shadow="none",
        button_secondary_background_fill="#ffffff", button_secondary_background_fill_hover="*neutral_200",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_border_width="1px", button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="#4a4641",
        button_secondary_shadow="none", button_transition="background-color .12s ease",
        checkbox_background_color_selected="*primary_600", checkbox_background_color_selected_dark="*primary_500",
        checkbox_border_color="*neutral_400", checkbox_border_color_dark="*neutral_500",
        layout_gap="10px",
    )

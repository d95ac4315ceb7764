"""The prompt language: text to weighted pieces, timelines and CLIP tokens. Needs neither torch nor transformers."""

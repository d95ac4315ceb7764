"""Work on finished pixels: upscalers, faces, tiles, previews."""

"""Faces: found and known again by insightface's networks from local files, chosen, drawn as key points, and swapped."""

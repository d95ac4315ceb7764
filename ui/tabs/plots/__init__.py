"""The Plots tab: grids over several settings, seen while they are drawn, judged, exported."""

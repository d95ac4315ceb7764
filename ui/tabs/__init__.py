"""The tabs of the page. A tab is a folder with its Python, HTML, scripts and styles.

An extension brings the same folder and adds its tab to the table before the page is built.
"""

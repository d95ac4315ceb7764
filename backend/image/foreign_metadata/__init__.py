"""What other programs write into pictures, brought into AUTOMATIC1111's words.

A program is a file, and a row of `programs`.
"""

"""
Saves the outputs of finished generations as files.

It polls only for a new link, sends no key to a link and overwrites no file.
"""

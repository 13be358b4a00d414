"""A local web page: photographs deblurred and their blur magnified, short clips enlarged. `restore-jax app` starts it.

jobs      the jobs on uploads, which know no page
sessions  the open pages and their files, which are removed when a page is closed
gate      the addresses and files that a browser may ask for
examples  inputs to try
page      the page that people see and click (Gradio)
server    the running server, from the command line's options to its end
"""

"""A local web page: photographs deblurred and their blur magnified, short clips enlarged. `restore-jax app` starts it.

jobs      what is done with an upload, without knowing of a page
sessions  whose files are whose, and that they go when the page is closed
gate      which addresses and files a browser may ask for
examples  inputs to try
page      what is seen and clicked (Gradio)
server    from the command line's options to a running server, and its end
"""

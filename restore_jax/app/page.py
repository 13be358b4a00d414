"""The page that people see and click. Slow work goes through one queue, one job at a time.

Gradio is imported by `build`, after `server` has told it by the environment where its files lie.
"""

import contextlib
import html
import logging
import pathlib
import re
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from restore_jax.app import gate, jobs
from restore_jax.app.examples import Examples
from restore_jax.app.sessions import Sessions
from restore_jax.errors import InputError

LOG = logging.getLogger(__name__)
OURS = "Something failed here, and not because of your file. The server's log says what."
TITLE = "restore_jax"
CSS = """
.gradio-container { max-width: 1200px !important; width: 100%; margin: 0 auto; }
footer { display: none !important; }
"""


def build(sessions: Sessions, limits: jobs.Limits, weights: Mapping[str, Any], examples: Examples):
    """Build the page, a gradio.Blocks. weights: for deblur, map and video a name, a file, or None for the best."""
    import gradio as gr

    heavy = {"concurrency_limit": 1, "concurrency_id": "heavy", "api_visibility": "private"}
    light = {"concurrency_limit": 2, "concurrency_id": "light", "api_visibility": "private"}

    def named(text):
        return without_folders(text, sessions.root, weights.values())

    @contextlib.contextmanager
    def job(kind, request, progress, *uploads):
        """Run a job for the page that asks, on its uploads; errors become what a person may see of them."""
        try:
            if uploads[0] is None:
                raise InputError("Choose a file first, or click an example.")
            for upload in filter(None, uploads):
                if not pathlib.Path(upload).exists():  # what came apart for a while counts as closed
                    raise InputError(f"{upload}: is not here any more, the connection was lost: upload it again")
            folder, flag = sessions.start(request.session_hash, kind, filter(None, uploads))

            def show(part, text):
                if progress is not None:
                    progress(part or 0, desc=named(text))

            try:
                yield jobs.Job(folder, limits, flag, show)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            finally:
                sessions.finish(request.session_hash, kind, flag)
        except Exception as error:
            raise gr.Error(html.escape(named(words(error))), duration=None, print_exception=False) from None

    def cancelled(kind):
        def cancel(request: gr.Request):
            sessions.cancel(request.session_hash, kind)
            return "Cancelled."

        return cancel

    def offered(path):
        return gr.update(value=str(path), interactive=True)

    def deblur(photo, request: gr.Request, progress=gr.Progress()):  # noqa: B008 - how Gradio is asked for one
        with job("deblur", request, progress, photo) as running:
            found = jobs.deblur(running, pathlib.Path(photo), weights["deblur"], weights["map"])
            return (str(found.before), str(found.after)), str(found.blur), offered(found.photo), offered(found.map)

    def magnify(photo, scale, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        with job("magnify", request, progress, photo) as running:
            found = jobs.magnify(running, pathlib.Path(photo), scale, weights["map"])
            return (str(found.before), str(found.after)), offered(found.photo)

    def enlarge(wide, longer, together, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        with job("enlarge", request, progress, wide, longer) as running:
            longer = longer and pathlib.Path(longer)
            found = jobs.enlarge(running, pathlib.Path(wide), longer, together, weights["video"])
            lines = "\n".join(map(named, found.lines))
            return str(found.video), (str(found.before), str(found.after)), lines, offered(found.video)

    def previewed(kind):
        def preview(photo, request: gr.Request):
            if photo is None:
                return gr.update(value=None, visible=False)
            with job(kind, request, None, photo) as running:
                return gr.update(value=str(jobs.preview(running, pathlib.Path(photo))), visible=True)

        return preview

    def look(clip, request: gr.Request):
        if clip is not None:
            with job("look", request, None, clip) as running:
                jobs.check_clip(running, pathlib.Path(clip))

    def photo_input(name):
        gr.Markdown(f"JPEG, PNG, TIFF or WebP, up to {limits.megapixels:g} megapixels.")
        photo = gr.File(label="Photograph", height=160, elem_id=f"{name}-photo")
        picture = gr.Image(label="Your photograph", visible=False, interactive=False, height=200, buttons=[])
        photo.change(previewed(f"preview_{name}"), photo, picture, show_progress="minimal", **light)
        return photo

    def buttons(name, text):
        with gr.Row():
            run = gr.Button(text, variant="primary", elem_id=f"{name}-run")
            stop = gr.Button("Cancel", variant="stop", elem_id=f"{name}-cancel")
        return run, stop, gr.Markdown(elem_id=f"{name}-status")

    def wired(kind, buttons, function, inputs, outputs):
        run, stop, status = buttons
        run.click(None, None, status, js="() => ''", queue=False, api_visibility="private")
        event = run.click(function, inputs, outputs, show_progress="full", show_progress_on=outputs[0], **heavy)
        # One listener stops the work, at once and beside the queue; the other takes what waits out of the queue.
        stop.click(cancelled(kind), None, status, queue=False, show_progress="hidden", api_visibility="private")
        stop.click(None, cancels=[event], queue=False, api_visibility="private")

    def slider(label, name):
        return gr.ImageSlider(label=label, interactive=False, max_height=520, buttons=["fullscreen"], elem_id=name)

    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(
            f"# {TITLE}\nEverything is computed on the machine that shows this page. What you upload is deleted when "
            f"you close it. At most {gate.MAX_UPLOAD // 10**6} MB a file and {limits.minutes:g} minutes a job.",
            elem_id="title",
        )
        with gr.Tab("Deblur"), gr.Row():
            with gr.Column(scale=1, min_width=300):
                photo = photo_input("deblur")
                clicked = buttons("deblur", "Deblur")
                gr.Examples([[str(examples.defocused)], [str(examples.photo)]], [photo], label="Examples")
            with gr.Column(scale=2, min_width=400):
                outputs = [
                    slider("Before | after: drag the line", "deblur-slider"),
                    gr.Image(label="Defocus map: how blurred each pixel is", interactive=False, buttons=["fullscreen"]),
                ]
                with gr.Row():
                    outputs.append(
                        gr.DownloadButton("Download the photograph", interactive=False, elem_id="deblur-get")
                    )
                    outputs.append(gr.DownloadButton("Download the map, 16 bits", interactive=False, elem_id="map-get"))
            wired("deblur", clicked, deblur, [photo], outputs)
        with gr.Tab("Magnify blur"), gr.Row():
            with gr.Column(scale=1, min_width=300):
                photo = photo_input("magnify")
                scale = gr.Slider(1, 8, value=4, step=0.5, label="How many times as blurred")
                clicked = buttons("magnify", "Magnify")
                gr.Examples([[str(examples.photo)]], [photo], label="Example")
            with gr.Column(scale=2, min_width=400):
                outputs = [
                    slider("Before | after: drag the line", "magnify-slider"),
                    gr.DownloadButton("Download the photograph", interactive=False, elem_id="magnify-get"),
                ]
            wired("magnify", clicked, magnify, [photo, scale], outputs)
        with gr.Tab("Enlarge a clip"), gr.Row():
            with gr.Column(scale=1, min_width=300):
                gr.Markdown(
                    f"Up to {limits.seconds:g} s, and {limits.megapixels:g} megapixels in each enlarged frame. A "
                    "second clip of the same moments, through a longer lens, lends its detail."
                )
                wide = gr.File(label="Clip", height=160, elem_id="enlarge-wide")
                longer = gr.File(label="Longer lens (optional)", height=160, elem_id="enlarge-longer")
                together = gr.Checkbox(label="Both begin at the same moment (else it is looked for)")
                clicked = buttons("enlarge", f"Enlarge {jobs.SCALE} times")
                row = [str(examples.wide), str(examples.longer), True]
                gr.Examples([row], [wide, longer, together], label="Example", example_labels=["coffee, by two lenses"])
                for clip in (wide, longer):
                    clip.change(look, clip, None, show_progress="hidden", **light)
            with gr.Column(scale=2, min_width=400):
                outputs = [
                    gr.Video(label="Enlarged clip", interactive=False, height=400, buttons=[], elem_id="enlarge-video"),
                    slider("A frame: plainly enlarged | restored", "enlarge-slider"),
                    gr.Textbox(label="What was found", interactive=False, lines=2, elem_id="enlarge-found"),
                    gr.DownloadButton("Download the clip", interactive=False, elem_id="enlarge-get"),
                ]
            wired("enlarge", clicked, enlarge, [wide, longer, together], outputs)

        def closed(request: gr.Request):
            sessions.end(request.session_hash)

        page.unload(closed)
    return page


def words(error: Exception) -> str:
    """Return what a person is told of an error; errors that are not theirs go to the log."""
    if isinstance(error, jobs.Cancelled):
        return "Cancelled."
    if isinstance(error, InputError):
        return str(error)
    LOG.error("a job failed", exc_info=error)
    return OURS


def without_folders(text: str, root: pathlib.Path, weights: Iterable[str | None] = ()) -> str:
    """Remove the folders of the server's files from a text, and keep their names."""
    for name in filter(None, weights):
        text = text.replace(name, pathlib.Path(name).name)
    return re.sub(re.escape(str(root)) + r"/(?:[\w-]+/)*", "", text)

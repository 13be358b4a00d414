"""Videos as files, pairs of cameras and streams of frames.

`probing` looks through a file (`folders` through a folder of frames) and tells what is known of it as a `Clip`,
`reading` gives its frames, `writing` encodes frames in parts and joins them, and `copying` takes along all else that
the source holds. `pairing` finds how two cameras' videos belong together, `engines` restore single frames, `stream`
restores all frames one after another, `segments` makes a long job resumable, `adaptation` fits the reference memory to
a video, `enlarge` is the whole job.
"""

from restore_jax.video.clips import FOLDER_FPS, Clip
from restore_jax.video.containers import SUFFIXES
from restore_jax.video.copying import left_out
from restore_jax.video.probing import probe
from restore_jax.video.reading import alphas, frames
from restore_jax.video.writing import VideoWriter, join

__all__ = ["FOLDER_FPS", "SUFFIXES", "Clip", "VideoWriter", "alphas", "frames", "join", "left_out", "probe"]

"""Videos as files, pairs of cameras and streams of frames.

The names here come from `files`, which reads and writes video files. `pairing` finds how two cameras' videos belong
together, `engines` restore single frames, `stream` restores all frames one after another, `segments` makes a long job
resumable, `adaptation` fits the reference memory to a video.
"""

from restore_jax.video.files import SUFFIXES, Clip, VideoWriter, check_audio, frames, join, probe

__all__ = ["SUFFIXES", "Clip", "VideoWriter", "check_audio", "frames", "join", "probe"]

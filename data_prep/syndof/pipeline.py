"""Renders SYNDOF's shards by Apache Beam: on all cores here, or on Dataflow, Flink or Spark by the runner's own flags.

    python -m data_prep.syndof.pipeline --tree TREE --output FOLDER --sampling paper
    python -m data_prep.syndof.pipeline --tree gs://B/tree --output gs://B/shards --runner=DataflowRunner --project=P

FOLDER gets plan.json and the shards of `data_prep.syndof.shards`. A plan that is there already is followed, and shards
that are there are not rendered again. Making the plan reads every image, for which the tree must be a local folder.
"""

import argparse
import secrets
import sys
from functools import partial
from pathlib import Path

from data_prep.syndof import shards
from restore_jax.errors import InputError, install_line

try:
    import apache_beam as beam
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions
except ImportError as error:
    raise InputError(f"data: {error}: {install_line('beam')}") from error

LOCAL = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=0"]  # 0: all cores


class RenderShards(beam.PTransform):
    """Takes numbers of shards and gives the paths of those that it rendered; finished ones are skipped."""

    def __init__(self, plan: shards.Plan, tree: str, output: str):
        super().__init__()
        self.plan, self.tree, self.output = plan, tree, output

    def expand(self, numbers):
        return (
            numbers
            | "spread over workers" >> beam.Reshuffle()
            | "render" >> beam.FlatMap(partial(write_shard, self.plan, self.tree, self.output))
        )


def write_shard(plan: shards.Plan, tree: str, output: str, number: int):
    """Render a shard, move it into place and yield its path; yield nothing if the shard is there."""
    path = FileSystems.join(output, shards.shard_name(plan, number))
    if FileSystems.exists(path):
        return
    data = shards.shard(plan, number, lambda place: read(FileSystems.join(tree, place)))
    replace(path, data)
    yield path


def read(path: str) -> bytes:
    """Read a file from any file system that Beam knows."""
    with FileSystems.open(path, compression_type="uncompressed") as fp:
        return fp.read()


def replace(path: str, data: bytes) -> None:
    """Write to a name of its own and move the whole file into place; two writers of one file write the same bytes."""
    unfinished = f"{path}-{secrets.token_hex(8)}.part"
    with FileSystems.create(unfinished, compression_type="uncompressed") as fp:
        fp.write(data)
    FileSystems.rename([unfinished], [path])


def prepare(tree: str, output: str, sampling: str, seed: int, count: int | None) -> shards.Plan:
    """Read the plan in `output`, or make it if there is none. Raises InputError."""
    place = FileSystems.join(output, shards.PLAN)
    if Path(tree).is_dir() and "://" not in output:
        return shards.make_plan(Path(tree), Path(output), sampling, seed, count)
    if not FileSystems.exists(place):
        raise InputError(f"{place}: missing; make it with a local --tree and --output, then copy both there")
    return shards.parse_plan(read(place), place)


def main(argv: list[str] | None = None) -> int:
    """Render the missing shards; flags that are not named here go to the runner. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.syndof.pipeline")
    parser.add_argument("--tree", required=True, metavar="FOLDER", help="folder of images and depths, see README.md")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder for plan.json and the shards")
    parser.add_argument(
        "--sampling", choices=("paper", "released"), default="paper", help="how lenses are drawn (default paper)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default 0)")
    parser.add_argument("--count", type=int, help="number of examples to render (default: 4.1 for each sample)")
    args, flags = parser.parse_known_args(argv)
    try:
        plan = prepare(args.tree, args.output, args.sampling, args.seed, args.count)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    runner = flags if any(flag.startswith("--runner") for flag in flags) else LOCAL + flags
    with beam.Pipeline(options=PipelineOptions(runner)) as pipeline:
        numbers = pipeline | "shards" >> beam.Create(range(plan.num_shards))
        _ = numbers | "SYNDOF" >> RenderShards(plan, args.tree, args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""SYNDOF's shards by Apache Beam: on all cores here, or on Dataflow, Flink or Spark by the runner's own flags.

    python -m data_prep.syndof.pipeline --tree TREE --output FOLDER --sampling paper
    python -m data_prep.syndof.pipeline --tree gs://B/tree --output gs://B/shards --runner=DataflowRunner --project=P

FOLDER gets plan.json and the shards of `data_prep.syndof.shards`; where it has a plan, that plan is followed, and
shards that are there are not rendered again. Making the plan reads every image: the tree must be a local folder then.
"""

import argparse
import secrets
import sys
from functools import partial
from pathlib import Path

from data_prep.syndof import shards
from restore_jax.errors import InputError

try:
    import apache_beam as beam
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions
except ImportError as error:
    raise InputError(f"data: needs what restore-jax[beam] installs: {error}") from error

LOCAL = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=0"]  # 0: all cores


class RenderShards(beam.PTransform):
    """Numbers of shards -> the paths of those that were rendered; finished ones are passed over."""

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
    """Yields the path of a shard it rendered and moved into place, nothing if the shard is there."""
    path = FileSystems.join(output, shards.shard_name(plan, number))
    if FileSystems.exists(path):
        return
    data = shards.shard(plan, number, lambda place: read(FileSystems.join(tree, place)))
    replace(path, data)
    yield path


def read(path: str) -> bytes:
    """The file's bytes, of any file system that Beam knows."""
    with FileSystems.open(path, compression_type="uncompressed") as fp:
        return fp.read()


def replace(path: str, data: bytes) -> None:
    """Writes under a name of its own and moves the whole file into place; whoever comes second brings the same."""
    unfinished = f"{path}-{secrets.token_hex(8)}.part"
    with FileSystems.create(unfinished, compression_type="uncompressed") as fp:
        fp.write(data)
    FileSystems.rename([unfinished], [path])


def prepare(tree: str, output: str, sampling: str, seed: int, count: int | None) -> shards.Plan:
    """The plan in `output`, made if there is none. Raises InputError."""
    place = FileSystems.join(output, shards.PLAN)
    if Path(tree).is_dir() and "://" not in output:
        return shards.make_plan(Path(tree), Path(output), sampling, seed, count)
    if not FileSystems.exists(place):
        raise InputError(f"{place}: missing; make it with a local --tree and --output, then copy both there")
    return shards.parse_plan(read(place), place)


def main(argv: list[str] | None = None) -> int:
    """Renders what is missing; flags that are not named here are the runner's."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.syndof.pipeline")
    parser.add_argument("--tree", required=True, metavar="FOLDER", help="images and depths, see README.md")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="gets plan.json and the shards")
    parser.add_argument("--sampling", choices=("paper", "released"), default="paper", help="of lenses (paper)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (0)")
    parser.add_argument("--count", type=int, help="of examples (default: 4.1 a sample)")
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

"""restore-jax train trains a network, or continues a run that was stopped."""

from restore_jax.errors import InputError

EXAMPLES = """restore-jax train --config=configs/ifan.py:tiny --workdir=runs/tiny
         restore-jax train --config=configs/ifan.py --config.optim.rate 1e-4 --noconfig.data.turn --workdir=runs/mine

The same command continues a run that was stopped. Everything a run does is in its config. WORKDIR gets config.json,
checkpoints/, metrics.jsonl, tensorboard/, panels/, and at the end final.safetensors for restore-jax deblur --weights.

Several machines run one process each. On a TPU pod or under Slurm add --distributed to the same command on every
machine; elsewhere add --coordinator=HOST:PORT --processes=N --process=I."""


def add_arguments(parser) -> None:
    """Add the arguments of the verb; --config.a.b=value and the like are its overrides."""
    add = parser.add_argument
    add("--config", required=True, metavar="FILE[:VARIANT]", help="config file and its variant: configs/ifan.py:tiny")
    add("--workdir", required=True, metavar="DIR", help="folder of the run, with its checkpoints and logs")
    add("--data", nargs="+", metavar="FOLDER", help="train on folders of sharp photographs, or of blurred/ and sharp/")
    help = "with --data, evaluate on these folders (default: no evaluation)"
    add("--held-out", nargs="+", metavar="FOLDER", default=(), help=help)
    add("--skip-bad", action="store_true", help="leave out files that are damaged, too small or of differing sizes")
    add("--distributed", action="store_true", help="be one of several processes, which the cluster describes")
    add("--coordinator", metavar="HOST:PORT", help="be one of several processes: address that process 0 listens on")
    add("--processes", type=int, metavar="N", help="number of processes, with --coordinator")
    add("--process", type=int, metavar="I", help="number of this process, from 0, with --coordinator")
    parser.set_defaults(overrides=())


def run(args) -> int:
    """Train to the last step of the config."""
    from restore_jax.train import config, loop

    settings = config.load_config(args.config, args.overrides)
    if args.data:
        settings = config.with_folders(settings, args.data, args.held_out)
    elif args.held_out:
        raise InputError("--held-out: goes with --data")
    if args.skip_bad:
        settings = config.skipping_bad(settings)
    processes = (args.coordinator, args.processes, args.process)
    if any(value is not None for value in processes) and None in processes:
        raise InputError("--coordinator, --processes and --process belong together")
    if args.distributed or args.coordinator:
        loop.join_processes(*processes)
    loop.train(settings, args.workdir)
    return 0

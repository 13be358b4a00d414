"""Files of tests that take seconds each even with all programs compiled, and why; `make check` leaves them out.

A single slow test in a quick file has the mark `slow` itself.
"""

NETWORK = "compares a whole network, its gradients or its ablations, with goldens or another definition"
TASK = "compiles losses and their gradients through networks"
RUN = "trains, often in processes of its own"
TABLE = "evaluates networks as the tables do"
BENCH = "runs a benchmark"
VERB = "runs commands as a person would"
DATA = "builds data sets, or reads them in several processes"

SLOW = {
    **dict.fromkeys(("test_basicvsr", "test_edvr", "test_iconvsr", "test_refvsr", "test_refvsr_refill"), NETWORK),
    **dict.fromkeys(("test_ifan", "test_dmenet", "test_dpdnet", "test_spynet", "test_vgg", "test_lpips"), NETWORK),
    **dict.fromkeys(("test_super_resolution", "test_reference_sr", "test_memory", "test_macs", "test_export"), NETWORK),
    **dict.fromkeys(("test_engines", "test_stream", "test_weights", "test_shipped_weights"), NETWORK),
    **dict.fromkeys(("test_filtering", "test_contextual", "test_deform_conv", "test_matching"), "checks gradients"),
    **dict.fromkeys(("test_task_deblur", "test_task_defocus_map", "test_task_optical_flow", "test_task_ref_vsr"), TASK),
    **dict.fromkeys(("test_task_super_resolution", "test_task_vsr", "test_randomness", "test_camera"), TASK),
    **dict.fromkeys(("test_train", "test_train_parallel", "test_train_survival", "test_config"), RUN),
    **dict.fromkeys(("test_evaluate_defocus", "test_evaluate_memory", "test_evaluate_vsr"), TABLE),
    **dict.fromkeys(("test_tables",), TABLE),
    **dict.fromkeys(("test_bench", "test_bench_defocus", "test_bench_train", "test_bench_vsr"), BENCH),
    **dict.fromkeys(("test_cli", "test_cli_vsr", "test_docs", "test_notebooks", "test_fuzz", "test_app"), VERB),
    **dict.fromkeys(
        ("test_data_prep", "test_realmcvsr", "test_rtf", "test_syndof", "test_loader", "test_triple_camera"), DATA
    ),
    **dict.fromkeys(("test_alignment", "test_classical", "test_pairing"), "works through whole pictures or clips"),
}

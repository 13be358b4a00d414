"""config and configs/: every variant from anywhere, overrides, one line a mistake, the dissertation's settings."""

import ast
import json
import re
from pathlib import Path

import jax
import pytest

from restore_jax import models, tasks
from restore_jax.errors import InputError
from restore_jax.train.config import differences, load_config, with_folders
from restore_jax.train.optim import make_optimizer
from restore_jax.weights.building import parameter_shapes
from tests.places import ROOT

CONFIGS = ROOT / "configs"
FILES = sorted(path.stem for path in CONFIGS.glob("*.py"))
WORDS = {name: ("rendered", "tiny") for name in FILES} | {
    "ifan": ("rendered", "small", "tiny", "small,tiny"),
    "dmenet": ("b", "bd", "bdc", "bdcs", "no_auxiliary", "large_s", "small", "tiny", "b,tiny"),
    "srcnn": ("photos", "virtual", "tiny", "photos,tiny"),
    "rcan": ("photos", "virtual", "small", "tiny", "small,photos,tiny"),
    "srgan": ("pretrain", "photos", "virtual", "tiny", "pretrain,virtual,tiny"),
    "ttsr": ("l1", "virtual", "tiny", "l1,virtual,tiny"),
    "dcsr": ("l1", "x2", "adapt", "virtual", "tiny", "adapt,tiny"),
    "spynet": ("tiny",),
    "refvsr": (
        *("l1", "small", "ir", "adapt", "tele", "tele_supervision", "dual", "single_fidelity", "current_fusion"),
        *("forward", "flow_reference", "match_frames", "virtual", "shipped", "tiny", "small,l1,tiny"),
    ),
    "vsr": (
        *(
            "edvr",
            "edvr_m",
            "iconvsr",
            "memory",
            "memorise",
            "memorise,k64,b128,m256",
            "virtual",
            "small,virtual,short",
        ),
        *("memory_small", "tiny", "memory,tiny", "edvr,memory,tiny", "iconvsr,memory,tiny"),
    ),
    "dpdnet": ("dual", "png16", "rendered", "tiny", "dual,png16,rendered,tiny"),
}
ROWS = {  # what the first word of a variant may say besides
    "ifan_ablation": ("baseline", "d", "f", "fd", "fr", "fdr"),
    "ifan_noise": ("0.07", "0.14", "0.21"),
    "ifan_num_filters": ("8", "17", "26", "35", "44"),
}
VARIANTS = [
    f"{name}.py:{variant}"
    for name in FILES
    for row in ("", *ROWS.get(name, ()))
    for variant in (row, *(f"{row},{word}" if row else word for word in WORDS[name]))
]


def load(variant, *overrides):
    return load_config(str(CONFIGS / variant), overrides)


def parameters(config, **changes):
    shapes = parameter_shapes(config.model.name, {**config.model.options, **changes})
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def refused(variant, *overrides):
    with pytest.raises(InputError) as caught:
        load(variant, *overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------- configs/
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_loads_from_anywhere_and_fits_the_trainer(variant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load(variant)
    assert config.is_locked
    models.create(config.model.name, **config.model.options)
    tasks.get(config.task)
    make_optimizer(config.optim)
    assert json.loads(config.to_json())["total_steps"] == config.total_steps
    assert config.evaluation.data.margin == config.data.margin  # what is rendered is cropped by one margin
    if "render" in config:
        assert config.data.margin >= config.render.max_coc / 2  # which the largest disc does not leave
    if variant.endswith("tiny"):
        assert (config.data.source, config.evaluation.data.source) == ("dead_leaves", "dead_leaves")
        assert config.total_steps <= 20


@pytest.mark.parametrize("name", FILES)
def test_the_docstring_says_the_command_and_its_config_loads(name):
    doc = ast.get_docstring(ast.parse((CONFIGS / f"{name}.py").read_text()))
    commands = re.findall(r"python -m restore_jax.train --config=configs/(\S+) --workdir=\S+", doc)
    assert commands
    for command in commands:
        assert command.split(":")[0] == f"{name}.py"
        load(command)
    for variant in re.findall(r"`:(\S+)`", doc):
        load(f"{name}.py:{variant}")


def test_published_settings_are_the_dissertations():
    """The values are those of section 4.3 and, where it is silent, of docs/networks.md 1."""
    config = load("ifan.py")
    assert (config.total_steps, config.data.batch_size, config.data.size) == (600_000, 8, 256)
    optim = config.optim
    assert (optim.name, optim.b1, optim.b2, optim.weight_decay, optim.clip) == ("radam", 0.9, 0.99, 0.01, 0.5)
    assert (optim.rate, optim.schedule, optim.boundaries) == (1e-4, "step", (500_000, 550_000))
    assert (config.data.scale_probability, config.data.min_scale, config.data.turn) == (0.5, 0.7, False)
    assert config.augment.to_dict() == {"grey": 0.3, "noise": 0.05, "noise_min": 0.001, "noise_max": 0.07}
    assert config.loss.to_dict() == {"pixel": "mse", "deblur": 1.0, "disparity": 1.0, "reblur": 1.0}
    assert (config.data.name, config.data.split, config.evaluation.data.size) == ("dpdd/png8", "train", 0)
    assert config.model.options.num_filters == 17


@pytest.mark.parametrize(
    ("row", "count", "relative"),
    [  # in Table 4.1 in millions; the whole network is known exactly
        ("baseline", 10.58e6, 0.015),
        ("d", 10.58e6, 0.015),
        ("f", 10.48e6, 0.015),
        ("fr", 10.48e6, 0.015),
        ("fd", 10_476_996, 0),
        ("fdr", 10_476_996, 0),
    ],
)
def test_rows_of_the_ablation(row, count, relative):
    config = load(f"ifan_ablation.py:{row}")
    letters = set() if row == "baseline" else set(row)
    options = config.model.options
    assert parameters(config, reblur=False) == pytest.approx(count, rel=relative, abs=0)
    assert (options.disparity, options.reblur) == ("d" in letters, "r" in letters)
    assert (options.get("filtering", "iac") == "iac") == ("f" in letters)
    assert (config.loss.disparity, config.loss.reblur) == (float("d" in letters), float("r" in letters))
    assert config.loss.deblur == 1.0


def test_networks_of_the_other_configs():
    published = parameters(load("ifan.py"))
    assert published == parameters(load("ifan_ablation.py")) == 10_476_996 + 19_139_685  # with the reblurring network
    counts = {"8": 9_436_740, "17": 10_476_996, "26": 11_517_252, "35": 12_557_508, "44": 13_597_764}
    for number, count in counts.items():
        assert parameters(load(f"ifan_num_filters.py:{number}"), reblur=False) == count
    assert parameters(load("ifan_dual.py"), reblur=False) == 10_477_860
    fac = load("ifan_fac.py")
    assert parameters(fac, reblur=False) == pytest.approx(10.51e6, rel=5e-4)  # Table 4.7
    assert fac.model.options.filter_size == 11
    assert load("ifan_16bit.py").data.name == load("ifan_16bit.py").evaluation.data.name == "dpdd/png16"
    for sigma in ROWS["ifan_noise"]:
        assert load(f"ifan_noise.py:{sigma}").augment.noise_max == float(sigma)


def test_a_word_after_a_row_keeps_the_row():
    assert load("ifan_ablation.py:fd,tiny").model.options.reblur is False
    assert load("ifan_fac.py:tiny").model.options.filtering == "fac"
    assert load("ifan_noise.py:0.21,tiny").augment.noise_max == 0.21
    assert load("ifan_dual.py:tiny").model.options.input == "dual"
    assert load("ifan.py:small,tiny").model.options.output_leak is None


@pytest.mark.parametrize(
    ("variant", "known"),
    [
        ("ifan.py:big", "rendered, camera, small, tiny"),
        ("ifan.py:tiny,big", "rendered, camera, small, tiny"),
        ("ifan_dual.py:big", "rendered, tiny"),
        ("ifan_fac.py:small", "rendered, tiny"),
        ("ifan_ablation.py:fd,small", "rendered, tiny"),
        ("ifan_ablation.py:rd", "baseline, d, f, fd, fr, fdr"),
        ("ifan_num_filters.py:9", "8, 17, 26, 35, 44"),
        ("ifan_noise.py:.1", "0.07, 0.14, 0.21"),
    ],
)
def test_an_unknown_word_is_one_line_that_says_the_known(variant, known):
    line = refused(variant)
    assert line.startswith(str(CONFIGS / variant))
    assert known in line


# ---------------------------------------------------------------------------------------------------------------- files
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def get_config(:", "SyntaxError"),
        ("import nothing_of_the_sort", "ModuleNotFoundError: No module named 'nothing_of_the_sort'"),
        ("x = 1", "get_config"),
        ("def get_config(): raise KeyError('two\\nlines')", "KeyError"),
    ],
)
def test_a_broken_config_is_one_line(tmp_path, text, said):
    (tmp_path / "mine.py").write_text(text)
    line = refused(tmp_path / "mine.py")
    assert line.startswith(f"{tmp_path / 'mine.py'}: ")
    assert said in line


def test_files_that_are_no_config(tmp_path):
    assert refused(tmp_path / "nothing.py") == f"{tmp_path / 'nothing.py'}: no such config file"
    assert refused(tmp_path) == f"{tmp_path}: no such config file"
    (tmp_path / "config.json").write_text("{}")
    assert refused(tmp_path / "config.json").startswith(f"{tmp_path / 'config.json'}: a config is a Python file")


def test_the_packages_configs_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("configs/ifan.py:tiny").total_steps == 20


def test_a_config_of_ones_own_builds_on_ours(tmp_path, monkeypatch):
    """As the trainer is called: from the repository's root, with a file elsewhere."""
    monkeypatch.syspath_prepend(CONFIGS.parent)
    text = "from configs import ifan\ndef get_config():\n    return ifan.with_words(ifan.published(), 'tiny')\n"
    (tmp_path / "mine.py").write_text(text)
    assert load(tmp_path / "mine.py").total_steps == 20


# ------------------------------------------------------------------------------------------------------------ overrides
def test_overrides_take_the_type_of_what_they_replace():
    overrides = {
        "seed": ("7", 7),
        "optim.rate": ("1", 1.0),
        "optim.boundaries": ("(1, 2)", (1, 2)),
        "data.folders": ("('a b',)", ("a b",)),
        "data.source": ("photos", "photos"),
        "data.name": ("dpdd/png16", "dpdd/png16"),
        "init_weights": ("a=b.safetensors", "a=b.safetensors"),
        "remat": ("True", True),
        "evaluation.data.size": ("64", 64),
        "model.options.num_filters": ("3", 3),
    }
    config = load("ifan.py", *(f"--config.{name}={text}" for name, (text, _) in overrides.items()))
    for name, (_, value) in overrides.items():
        node = config
        for part in name.split("."):
            node = node[part]
        assert node == value
        assert type(node) is type(value)
    assert config.is_locked


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (["--config.seed", "7"], {"seed": 7}),
        (["--config.optim.rate", "-1e-3", "--config.seed=7"], {"optim.rate": -1e-3, "seed": 7}),
        (["--config.data.source", "a b"], {"data.source": "a b"}),
        (["--config.remat"], {"remat": True}),
        (["--config.remat", "--config.seed=7"], {"remat": True, "seed": 7}),
        (["--config.remat", "true"], {"remat": True}),
        (["--config.remat=true"], {"remat": True}),
        (["--config.model.options.reblur=false"], {"model.options.reblur": False}),
        (["--noconfig.model.options.reblur", "--config.seed", "7"], {"model.options.reblur": False, "seed": 7}),
    ],
)
def test_overrides_are_written_as_users_of_config_flags_write_them(words, changed):
    config = load("ifan.py", *words)
    for name, value in changed.items():
        node = config
        for part in name.split("."):
            node = node[part]
        assert node == value
        assert type(node) is type(value)


def test_what_refers_to_another_setting_follows_it():
    config = load("ifan.py", "--config.total_steps=70", "--config.data.margin=24")
    assert (config.optim.total_steps, config.evaluation.data.margin) == (70, 24)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--config.optim.speed=3", "--config.optim.speed: the config has no such key; it has b1, b2"),
        ("--config.nothing.rate=3", "--config.nothing.rate: the config has no 'nothing'"),
        ("--config.seed.rate=3", "--config.seed.rate: the config has no 'seed' with keys"),
        ("--config.task.rate=3", "--config.task.rate: the config has no 'task' with keys"),
        ("--config.data.folders.x=3", "--config.data.folders.x: the config has no 'folders' with keys"),
        ("--config.total_steps=many", "--config.total_steps=many: "),
        ("--config.total_steps=1.5", "--config.total_steps=1.5: "),
        ("--config.optim=3", "--config.optim=3: "),
        ("--config.seed", "--config.seed: unknown argument"),
        ("--rate=3", "--rate=3: unknown argument"),
        ("seed=3", "seed=3: unknown argument"),
        ("--noconfig.seed", "--noconfig.seed: unknown argument"),
        ("--noconfig.remat=1", "--noconfig.remat=1: unknown argument"),
    ],
)
def test_a_wrong_override_is_one_line(argument, said):
    assert refused("ifan.py", argument).startswith(said)


# -------------------------------------------------------------------------------------------------------------- folders
@pytest.fixture
def folders(tmp_path):
    for name in ("photos", "more", "pairs/blurred", "pairs/sharp", "others/input", "others/gt", "half/blurred"):
        (tmp_path / name).mkdir(parents=True)
    return lambda *names: [str(tmp_path / name) for name in names]


@pytest.mark.parametrize(
    ("names", "source"),
    [(("photos", "more"), "photos"), (("half",), "photos"), (("pairs",), "pairs"), (("pairs", "others"), "pairs")],
)
def test_folders_make_the_source(folders, names, source):
    config = with_folders(load("ifan.py:small"), folders(*names))
    assert (config.data.source, config.data.folders) == (source, tuple(folders(*names)))
    assert config.is_locked
    assert config.evaluation.every == 0
    config = with_folders(
        load("ifan.py:rendered", "--config.data.views=('blurred',)"), folders(*names), folders("photos")
    )
    assert (config.evaluation.data.source, config.evaluation.data.folders) == ("photos", tuple(folders("photos")))
    assert config.evaluation.every > 0


def test_pairs_without_the_views_that_are_trained_with_are_refused(folders):
    with pytest.raises(InputError, match=r"pairs: has no left/, which config.data.views asks for"):
        with_folders(load("ifan.py"), folders("pairs"))
    for view in ("left", "right"):
        (Path(folders("pairs")[0]) / view).mkdir()
    assert with_folders(load("ifan.py:rendered"), folders("pairs")).data.turn is False


@pytest.mark.parametrize("names", [("pairs", "photos"), ("photos", "pairs")])
def test_folders_of_both_kinds_are_refused(folders, names):
    with pytest.raises(InputError, match="photos: holds no pairs") as caught:
        with_folders(load("ifan.py"), folders(*names))
    assert "pairs does" in str(caught.value)


def test_a_folder_that_is_not_there_is_named(folders):
    with pytest.raises(InputError, match=r"nowhere: no such folder$"):
        with_folders(load("ifan.py"), folders("photos", "nowhere"))


# ---------------------------------------------------------------------------------------------------------- differences
def test_differences_are_a_line_each():
    old = {"seed": 0, "gone": 1, "optim": {"rate": 0.1, "groups": [], "deep": {"x": 1}}, "same": {"a": [1, 2]}}
    new = {"seed": 1, "optim": {"rate": 0.1, "groups": [1], "deep": {"x": None}, "new": "n"}, "same": {"a": [1, 2]}}
    assert differences(old, new) == [
        "gone: 1 -> None",
        "optim.deep.x: 1 -> None",
        "optim.groups: [] -> [1]",
        "optim.new: None -> n",
        "seed: 0 -> 1",
    ]
    assert differences(new, new) == []
    assert differences({"a": 1}, {"a": {"b": 1}}) == ["a: 1 -> {'b': 1}"]

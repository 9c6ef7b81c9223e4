"""A space that searches a setting without an effect is refused before it starts, with its line and the way out."""

from __future__ import annotations

import pytest

from tinybench.config import effects
from tinybench.config.run_config import RunConfig, replace
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import resolve
from tinybench.sweeps import space_file

RATE = '{ distribution = "log-uniform", low = 1e-6, high = 1e-4 }'
SHARE = '{ distribution = "uniform", low = 0.1, high = 0.9 }'


def read(space, settings="", recipe="quickstart", **options):
    text = f'recipe = "{recipe}"\nobjective = "val/loss"\ntrials = 20\n[settings]\n{settings}\n[space]\n{space}\n'
    return space_file.read(text, "s", options.pop("overrides", None), file_name="s.toml", **options)


def choices(*values):
    return f'{{ distribution = "categorical", choices = {[*values]!r} }}'


def where(shares, condition):
    return shares.replace(" }", f", when = {{ {condition} }} }}")


@pytest.mark.parametrize(
    ("space", "settings", "recipe", "words"),
    [
        (f"network.l2 = {RATE}", 'phases = "scratch"', "quickstart",
         "`network.l2` would have no effect: smallcnn takes `network.filters`, `network.blocks`. Leave it out, or "
         "change `model`."),
        (f"network.dropout = {SHARE}", 'phases = "transfer"', "tiny-imagenet-tlft",
         "`network.dropout` would have no effect: it is for smallcnn,"),
        (f"optimizer.momentum = {SHARE}", "", "quickstart",
         "`optimizer.momentum` would have no effect: it is for sgd, and `optimizer.name` is adam."),
        (f"transfer.plateau_factor = {SHARE}", 'transfer.schedule = "cosine"', "quickstart",
         "`transfer.plateau_factor` would have no effect: it is for plateau, and `transfer.schedule` is cosine."),
        ('transfer.warmup = { distribution = "integer", low = 0, high = 3 }', "", "quickstart",
         "`transfer.warmup` would have no effect: it is for cosine, and `transfer.schedule` is"),
        (f"head.hidden_dropout = {SHARE}", 'head.hidden = "none"', "quickstart",
         "`head.hidden_dropout` would have no effect: it is for hidden layers, and `head.hidden` is none."),
        (f"scratch.lr = {RATE}", "", "quickstart", "`scratch.lr` has no effect: `phases` is transfer,finetune."),
        (f"optimizer.name = {choices('adam', 'adamw')}\noptimizer.momentum = {SHARE}", "", "quickstart",
         "`optimizer.momentum` would have no effect: it is for sgd"),
        # An effect in some trials
        (f"optimizer.name = {choices('adam', 'sgd')}\noptimizer.momentum = {SHARE}", "", "quickstart",
         '`optimizer.momentum` would have no effect in trials where `optimizer.name` is adam. Add when = '
         '{ optimizer.name = "sgd" } to it.'),
        (f"optimizer.momentum = {SHARE}\noptimizer.name = {choices('adam', 'sgd', 'adamw')}", "", "quickstart",
         'where `optimizer.name` is adam or adamw. Add when = { optimizer.name = "sgd" } to it, and put it below '
         "`optimizer.name`."),
        (f"head.hidden = {choices('none', 64, 128)}\nhead.l2 = {RATE}", "", "quickstart",
         "`head.l2` would have no effect in trials where `head.hidden` is none. Add when = "
         "{ head.hidden = [64, 128] }"),
        (f"phases = {choices('transfer', 'transfer,finetune')}\nfinetune.lr = {RATE}", "", "quickstart",
         'where `phases` is transfer. Add when = { phases = "transfer,finetune" } to it.'),
        (f"model = {choices('smallcnn', 'vgg10', 'cnn3')}\nnetwork.l2 = {RATE}", 'phases = "scratch"\nweights = "none"',
         "quickstart", 'where `model` is smallcnn. Add when = { model = ["vgg10", "cnn3"] } to it.'),
        (f"scratch.schedule = {choices('constant', 'plateau', 'cosine')}\nscratch.plateau_factor = {SHARE}",
         'phases = "scratch"', "quickstart", "where `scratch.schedule` is constant or cosine. Add when"),
        (where(f"phases = {choices('transfer', 'transfer,finetune')}\n"
               f"finetune.schedule = {choices('plateau', 'cosine')}", 'phases = "transfer,finetune"').replace(
                   "'transfer,finetune'], when = { phases = \"transfer,finetune\" }", "'transfer,finetune']")
         + "\n" + where(f"finetune.plateau_factor = {SHARE}", 'phases = "transfer,finetune"'), "", "quickstart",
         '`finetune.plateau_factor` would have no effect in trials where `finetune.schedule` is cosine.'),
    ],
)  # fmt: skip
def test_what_is_searched_in_vain_is_refused_with_its_line(space, settings, recipe, words):
    with pytest.raises(ConfigError) as caught:
        read(space, settings, recipe)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    key = words.split("`")[1] if words.startswith("`") else space.splitlines()[-1].split(" ")[0]
    lines = f"recipe\nobjective\ntrials\n[settings]\n{settings}\n[space]\n{space}".splitlines()
    if "put it below" not in words:
        place = next(number for number, line in enumerate(lines, 1) if line.startswith(key) and "distribution" in line)
        assert str(caught.value).startswith(f"s.toml, line {place}: ")


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        (f"optimizer.name = {choices('adam', 'sgd')}\n"
         + where(f"optimizer.momentum = {SHARE}", 'optimizer.name = "sgd"'), ""),
        (f"optimizer.momentum = {SHARE}", 'optimizer.name = "sgd"'),
        (f"network.filters = {choices([8, 16, 32, 64], [4, 8, 16, 32])}", 'phases = "scratch"'),
        (f"head.hidden = {choices('none', 64)}\n" + where(f"head.l2 = {RATE}", "head.hidden = 64"), ""),
        (f"phases = {choices('transfer', 'transfer,finetune')}\n"
         + where(f"finetune.lr = {RATE}", 'phases = "transfer,finetune"'), ""),
        (f"model = {choices('vgg10', 'cnn3')}\nnetwork.l2 = {RATE}", 'phases = "scratch"\nweights = "none"'),
        (f"transfer.schedule = {choices('plateau', 'cosine')}", ""),
        ('batch_size = { distribution = "integer", low = 8, high = 16, step = 8 }\n'
         + where(f"head.dropout = {SHARE}", "batch_size = 8"), ""),
    ],
)  # fmt: skip
def test_what_has_an_effect_in_every_trial_that_searches_it_is_taken(space, settings):
    assert len(read(space, settings).parameters) == len(space.splitlines())


def test_a_setting_of_the_command_line_can_take_the_effect_of_what_the_file_searches():
    space = f"network.l2 = {RATE}\nnetwork.dropout = {SHARE}"
    assert len(read(space, recipe="cifar10-vgg10").parameters) == 2
    with pytest.raises(ConfigError, match=r"s\.toml, line 7: `network\.l2` would have no effect: smallcnn takes"):
        read(space, recipe="cifar10-vgg10", overrides={"model": "smallcnn"})
    with pytest.raises(ConfigError, match=r"`optimizer\.momentum` would have no effect: it is for sgd"):
        read(f"optimizer.name = {choices('adam', 'sgd')}\noptimizer.momentum = {SHARE}",
             overrides={"optimizer.name": "adam"})  # fmt: skip


def test_a_study_that_was_made_before_is_read_as_it_was():
    assert read(f"network.l2 = {RATE}", 'phases = "scratch"', is_stored=True).parameters[0].key == "network.l2"


def test_every_setting_that_rules_another_out_is_known_to_decide():
    configs = [resolve("quickstart"), resolve("tiny-imagenet-tlft"), resolve("cifar10-vgg10"), RunConfig()]
    configs += [replace(configs[0], {"data.folds": 2, "head.hidden": "none", "transfer.schedule": "cosine"})]
    found = {item.because_of for config in configs for item in effects.find_ineffective(config)}
    assert found <= {*effects.DECIDING}
    assert {"phases", "model", "optimizer.name", "head.hidden", "data.folds", "transfer.schedule"} <= found

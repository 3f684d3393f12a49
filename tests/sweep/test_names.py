"""Names of points and the words that options become."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hamiltonians.errors import InputError
from nnbf.sweep import Option, Vocabulary
from nnbf.sweep.points import digest, group_name, picture_name, point_name

KEYS = st.text(string.ascii_lowercase + "_", min_size=1, max_size=12)
TEXTS = st.text(string.printable + "éЖ中😀\0", max_size=200)
VALUES = st.one_of(
    st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS, st.lists(st.integers(), max_size=4)
)


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_names_are_safe_and_depend_on_nothing_else(coordinates):
    name = point_name(coordinates)
    assert name == point_name(dict(coordinates))
    assert 0 < len(name.encode()) <= 160
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")


@given(TEXTS, TEXTS)
def test_different_texts_have_different_names(first, second):
    names = {point_name({"molecule": text}) for text in (first, second)}
    # Stars are written as s, as in 6-31gs: expanding a manifest tells such points apart.
    assert len(names) == 2 or first.replace("*", "s") == second.replace("*", "s")


def test_names_are_readable():
    assert point_name({}) == "point"
    assert point_name({"molecule": "N2", "basis": "6-31g*", "seed": 0}) == "N2_6-31gs_seed0"
    assert point_name({"frozen_core": True, "symmetry": False}) == "frozen-core_no-symmetry"
    assert point_name({"hidden": [64, 32], "r": 1.1}) == "hidden64-32_r1.1"
    assert point_name({"molecule": "water/h2o.xyz"}).startswith("h2o-")
    assert group_name({}) == ""
    assert group_name({"seed": 0}, "", "cc-pVXZ") == "seed0_cc-pVXZ"
    assert (picture_name("limit", ""), picture_name("limit", "He")) == ("limit.png", "limit_He.png")


def test_digests_do_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest("x", 6)) == 6


OPTIONS = Vocabulary(
    "molecule",
    {
        found.name: found
        for found in (
            Option("max_steps", int),
            Option("molecule", str, required=True),
            Option("symmetry", bool),
            Option("frozen_core", bool | int),
            Option("hidden", tuple[int, ...]),
        )
    },
)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ("molecule",)),
        ({"max_steps": 3, "molecule": "N2"}, ("molecule", "N2", "--max-steps=3")),
        ({"symmetry": True}, ("molecule", "--symmetry")),
        ({"symmetry": False}, ("molecule", "--no-symmetry")),
        ({"frozen_core": True, "hidden": (8, 4)}, ("molecule", "--frozen-core=auto", "--hidden=8,4")),
        ({"frozen_core": False}, ("molecule", "--frozen-core=none")),
    ],
)
def test_options_become_words(options, words):
    assert OPTIONS.words(options) == words


def test_options_of_a_table_are_checked():
    assert OPTIONS.checked_table({"max-steps": 3, "hidden": [8]}, "x.toml: base") == {
        "max_steps": 3, "hidden": (8,),
    }  # fmt: skip
    with pytest.raises(InputError, match=r"^x.toml: base.max-step: unknown key 'max-step': did you mean"):
        OPTIONS.checked_table({"max-step": 3}, "x.toml: base")
    with pytest.raises(InputError, match=r"^x.toml: base.max_steps = True has the wrong type: give a whole"):
        OPTIONS.checked_table({"max_steps": True}, "x.toml: base")
    with pytest.raises(InputError, match="known are frozen-core, hidden, max-steps, molecule, symmetry"):
        OPTIONS.checked("zzzzzz", 1, "x.toml")

from tbe.reporting.html.settings import ABSENT, differences, main_settings

FIRST = {
    "run_dir": "/runs/a",
    "seed": 0,
    "epochs": 3,
    "be": {"_target_": "tbe.BackgroundErasing", "ratio": 0.3, "prob": 1.0},
    "module": {"distractor": {"ratio": 0.3, "prob": 1.0}},
    "callbacks": {"last": {"dirpath": "/runs/a/checkpoints"}},
    "scales": [0.2, 1.0],
    "resume": None,
}
SECOND = {
    "run_dir": "/runs/b",
    "seed": 1,
    "epochs": 3,
    "be": {"_target_": "tbe.BackgroundErasing", "ratio": 0.5, "prob": 1.0},
    "module": {"distractor": {"ratio": 0.5, "prob": 1.0}},
    "callbacks": {"last": {"dirpath": "/runs/b/checkpoints"}},
    "scales": [0.2, 0.8],
    "resume": None,
    "only_here": True,
}


def test_differences_between_two_configs_are_found():
    assert differences([FIRST, SECOND]) == (
        [
            ("seed", ["0", "1"]),
            ("be.ratio", ["0.3", "0.5"]),
            ("scales", ["[0.2, 1.0]", "[0.2, 0.8]"]),
            ("only_here", [ABSENT, "true"]),
        ],
        [("module.distractor.ratio", ["0.3", "0.5"])],
    )


def test_equal_configs_do_not_differ():
    assert differences([FIRST, FIRST]) == ([], [])


def test_a_value_that_differs_only_where_it_is_used_is_shown():
    changed = FIRST | {"module": {"distractor": {"ratio": 0.9, "prob": 1.0}}}
    assert differences([FIRST, changed])[0] == [("module.distractor.ratio", ["0.3", "0.9"])]


def test_main_settings_are_what_is_set_without_what_is_wired_of_it():
    assert main_settings(FIRST) == [
        ("run_dir", ["/runs/a"]),
        ("seed", ["0"]),
        ("epochs", ["3"]),
        ("be", ["BackgroundErasing(ratio=0.3, prob=1.0)"]),
        ("scales", ["[0.2, 1.0]"]),
    ]

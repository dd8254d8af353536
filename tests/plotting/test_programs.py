"""Heat maps of programs: what is drawn where, and that it can be read."""

import numpy as np
import pandas as pd
import pytest

from scbig.plotting import enrichment_heatmap, interaction_heatmap, save


def tidy(q_values, alpha=0.05):
    """A table from rows of q-values, a set for each row."""
    rows = [
        {"program": program, "set": name, "q_value": q, "significant": q <= alpha}
        for program in range(len(next(iter(q_values.values()))))
        for name, q in ((name, row[program]) for name, row in q_values.items())
    ]
    return pd.DataFrame(rows)


TABLE = tidy(
    {
        "late": [1.0, 0.5, 1e-4],
        "dull": [1.0, 0.9, 0.8],
        "both": [1e-3, 1.0, 1e-2],
        "first": [1e-30, 1.0, 1.0],
        "second": [1.0, 1e-2, 1.0],
    }
)


def drawn(figure):
    """Names from top to bottom, the numbers under the colours, and the dots."""
    figure.draw_without_rendering()
    panel = figure.axes[0]
    names = [label.get_text() for label in panel.get_yticklabels()]
    dots = {(names[int(y)], int(x)) for x, y in panel.collections[0].get_offsets()}
    return names, np.asarray(panel.images[0].get_array()), dots


def test_rows_go_by_the_program_in_which_they_are_strongest():
    names, values, dots = drawn(enrichment_heatmap(TABLE))
    assert names == ["first", "both", "second", "late"]
    np.testing.assert_allclose(
        values, [[30, 0, 0], [3, 0, 2], [0, 2, 0], [0, -np.log10(0.5), 4]], atol=1e-12
    )
    assert dots == {("first", 0), ("both", 0), ("both", 2), ("second", 1), ("late", 2)}
    shuffled = TABLE.sample(frac=1, random_state=0)
    again = drawn(enrichment_heatmap(shuffled))
    assert (again[0], again[2]) == (names, dots)
    np.testing.assert_array_equal(again[1], values)


def test_the_colour_ends_at_ten_and_says_so():
    figure = enrichment_heatmap(TABLE)
    image, bar = figure.axes[0].images[0], figure.axes[1]
    assert image.get_clim() == (0, 10)
    assert "q" in bar.get_ylabel()
    assert "significant" in bar.get_ylabel()
    assert enrichment_heatmap(TABLE, sets=["late"]).axes[0].images[0].get_clim() == (0, 4)


def test_the_best_few_of_each_program_and_the_best_of_all():
    assert drawn(enrichment_heatmap(TABLE, each=1))[0] == ["first", "second", "late"]
    assert drawn(enrichment_heatmap(TABLE, most=2))[0] == ["first", "late"]
    assert drawn(enrichment_heatmap(TABLE, sets=["dull", "second"]))[0] == ["second", "dull"]
    assert drawn(enrichment_heatmap(TABLE, sets=["dull", "late"], most=1))[0] == ["late"]


def test_without_a_significant_set_the_best_are_drawn_without_dots():
    names, _, dots = drawn(enrichment_heatmap(TABLE.query("set == 'dull'")))
    assert (names, dots) == (["dull"], set())


def test_what_is_not_in_the_table_is_not_enriched_and_zero_is_a_number():
    table = TABLE.query("set != 'late' or program != 1").replace(1e-30, 0.0)
    names, values, _ = drawn(enrichment_heatmap(table))
    assert values[names.index("late"), 1] == 0
    assert 300 < values[names.index("first"), 0] < 400


def test_long_names_keep_both_ends():
    stem = "Regulation of a process that nobody could describe in fewer words, by "
    table = tidy({f"{stem}alpha": [1e-3], f"{stem}beta": [1e-4], "short": [1e-5]})
    names, _, _ = drawn(enrichment_heatmap(table))
    assert names[0] == "short"
    assert all(len(name) <= 60 and "…" in name for name in names[1:])
    assert {name.split()[-1] for name in names[1:]} == {"alpha", "beta"}
    assert all(name.startswith("Regulation of a process that nobody") for name in names[1:])
    unbroken = tidy({"x" * 99: [1e-3], "y" * 60: [1e-2]})
    names, _, _ = drawn(enrichment_heatmap(unbroken))
    assert names == [f"{'x' * 37} … {'x' * 20}", "y" * 60]


def test_many_programs_fit_on_a_page():
    q_values = {f"s{i}": np.where(np.arange(256) == 6 * i, 1e-5, 1.0).tolist() for i in range(40)}
    figure = enrichment_heatmap(tidy(q_values))
    figure.draw_without_rendering()
    assert figure.get_size_inches().max() < 20
    labels = figure.axes[0].get_xticklabels()
    boxes = [label.get_window_extent() for label in labels]
    assert len(labels) > 20
    assert all(one.x1 < other.x0 for one, other in zip(boxes, boxes[1:], strict=False))


def test_tables_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="'q_value'.* with 'program', 'set', 'significant'"):
        enrichment_heatmap(TABLE.drop(columns="q_value"))
    with pytest.raises(ValueError, match="got 0 rows"):
        enrichment_heatmap(TABLE.iloc[:0])
    with pytest.raises(ValueError, match=r"1 of 2 sets are not in the table: 'nowhere'\. It has 5"):
        enrichment_heatmap(TABLE, sets=["late", "nowhere"])
    with pytest.raises(ValueError, match="0 of 0 sets"):
        enrichment_heatmap(TABLE, sets=[])
    with pytest.raises(ValueError, match="most=0"):
        enrichment_heatmap(TABLE, most=0)


def test_interactions_between_programs(tmp_path):
    folds = pd.DataFrame([[12.0, 0.5, np.nan], [0.5, 3.0, np.nan], [np.nan] * 3])
    figure = interaction_heatmap(folds)
    figure.draw_without_rendering()
    image = figure.axes[0].images[0]
    colours = np.asarray(image.to_rgba(folds.to_numpy()))
    np.testing.assert_array_equal(colours[0, 1, :3], 1)  # no more than chance: white
    assert len({tuple(colours[i, j]) for i, j in [(0, 0), (1, 1), (0, 1), (2, 2)]}) == 4
    assert colours[0, 0].sum() < colours[1, 1].sum()  # more is darker
    save(figure, tmp_path / "folds.png")
    with pytest.raises(ValueError, match=r"got \(3, 2\)"):
        interaction_heatmap(folds.iloc[:, :2])
    with pytest.raises(ValueError, match="0 of them finite"):
        interaction_heatmap(folds * np.nan)

from pathlib import Path

from tbe.reporting.html.folders import Run
from tbe.reporting.html.tables import MAX_ROWS, Table, columns_of, numbers_table, read_tables, show


def test_markdown_tables_are_read_with_escaped_bars(tmp_path):
    file = tmp_path / "both.md"
    file.write_text("# Two\n\n| a | b |\n|---|:-:|\n| x \\| y | 1 |\n\n| no rule |\n| below |\n\n|c|\n|---:|\n")
    assert read_tables(file, "both") == [Table("both", ["a", "b"], [["x | y", "1"]]), Table("both (2)", ["c"], [])]


def test_final_numbers_have_a_column_for_each_checkpoint_and_split():
    training = Run(Path(), metrics={"loss": 2.0}, label="run")
    splits = {"top1": {"split 1": {"a": 1.0}, "mean": {"a": 1.23456, "b": float("nan")}}}
    evaluation = Run(Path(), metrics=splits, label="eval")
    assert numbers_table(columns_of([training, evaluation]), "all") == Table(
        "all",
        ["metric", "run", "eval / top1 / split 1", "eval / top1 / mean"],
        [["loss", "2", "", ""], ["a", "", "1", "1.235"], ["b", "", "", "nan"]],
    )


def test_long_tables_are_folded_and_very_long_ones_cut_with_a_note():
    assert "<details open>" in show(Table("short", ["a"], [["1"]]))
    shown = show(Table("long", ["a"], [[str(number)] for number in range(MAX_ROWS + 1)]), source="here.csv")
    assert "<details>" in shown
    assert "all are in here.csv" in shown
    assert shown.count("<tr>") == MAX_ROWS + 1  # and the head


def test_no_cell_of_an_uneven_row_is_lost():
    shown = show(Table("uneven", ["a"], [["1", "beyond"], []]))
    assert "beyond" in shown
    assert shown.count("<th ") == 2

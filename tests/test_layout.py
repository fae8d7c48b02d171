"""Fitting text and tables to a width."""

from __future__ import annotations

import pytest

from frft.layout import pieces, table_lines, wrapped

WIDTHS = [60, 80, 120]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("in 51.0 % of the pairs", ["in", "51.0 %", "of", "the", "pairs"]),
        ("[48.2, 53.8] at 95 %.", ["[48.2, 53.8]", "at", "95 %."]),
        ("+0.5 [+0.1, +0.9]", ["+0.5", "[+0.1, +0.9]"]),
        ("wins 12 / 3 / 5 here", ["wins", "12 / 3 / 5 here"]),
        ("flips: 3 of 60, so", ["flips:", "3 of 60,", "so"]),
        ("about 3 min 05 s left", ["about", "3 min 05 s", "left"]),
        ("a (p < 0.05) b", ["a", "(p < 0.05)", "b"]),
        ("d* = 1.25 [1.0, 2.0]", ["d* = 1.25", "[1.0, 2.0]"]),
        ("1.2 GiB at most", ["1.2 GiB", "at", "most"]),
        ("KL -0.35 nats a text", ["KL", "-0.35 nats", "a", "text"]),
        ("in 2024. It", ["in", "2024.", "It"]),
        ("['a', 'b']", ["['a',", "'b']"]),
        ("", []),
    ],
)
def test_numbers_and_their_units_are_one_piece(text, whole):
    assert pieces(text) == whole


PROSE = (
    "Of two texts of the policy it names the better in 51.3% of 1,250 pairs (61.0 % on held-out pairs): a change of "
    "+0.125 [-0.050, +0.300] nats a completion, after 2 h 07 min in runs/a-rather-long-name/part1."
)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("start", ["", "• ", "  - ", "  RM own ...      ", "        12  "])
def test_prose_breaks_between_pieces_and_goes_on_under_its_beginning(start, width):
    lines = wrapped(start + PROSE, width)
    assert len(lines) > 1
    assert [piece for line in lines for piece in pieces(line)] == pieces(start + PROSE)
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith(start)
    assert all(line.startswith(" " * len(start)) and line[len(start)] != " " for line in lines[1:])


def test_lines_stay_lines_and_what_has_no_limit_is_not_touched():
    assert wrapped("one\n\n  two", 60) == ["one", "", "  two"]
    assert wrapped(PROSE * 5, None) == [PROSE * 5]


def test_what_is_longer_than_a_line_is_not_broken():
    path = "/a/" + "very-long-name/" * 12
    assert wrapped(f"Wrote {path} and more", 60) == ["Wrote", path, "and more"]


COLUMNS = ("arm", "win rate [95 %]", "judge", "KL", "tokens", "ended", "pairs", "RM held-out", "RM own test")
ROW = ("51.0 % [48.2, 53.8]", "+0.123", "0.45", "12.3", "100.0 %", "1,500", "61.0 % [55.2, 66.8]", "70.0 %")
ARMS = ["(SFT)", "vanilla", "part1-from-current-with-kl-0.05", "random", "density", "oracle"]


@pytest.mark.parametrize("width", [*WIDTHS, None])
@pytest.mark.parametrize("arms", [1, 3, 6])
def test_no_cell_of_a_table_is_cut_and_no_word_or_number_broken(arms, width):
    rows = [(arm, *ROW) for arm in ARMS[:arms]]
    lines = table_lines(COLUMNS, rows, 1, width)
    assert all(len(line) <= (width or 999) for line in lines)
    text = "\n".join(lines)
    assert "…" not in text
    for piece in (piece for row in (COLUMNS, *rows) for cell in row for piece in pieces(cell)):
        assert text.count(piece) >= 1
    for piece in pieces(ROW[0]):
        assert text.count(piece) >= arms
    # Each cell is read on one line or, where it was folded, in one column.
    assert all(any(arm in line for line in lines) for arm in ARMS[:arms])


def test_a_table_is_folded_then_turned_then_stacked():
    rows = [(arm, *ROW) for arm in ARMS[1:3]]
    natural, folded, turned, stacked = (table_lines(COLUMNS, rows, 1, width) for width in (None, 125, 85, 50))
    assert len(natural) == 6
    assert folded[1].count("┃") == natural[1].count("┃") == 10
    assert len(folded) > 6
    assert turned[1].count("┃") == 4
    assert turned[3].startswith(f"│ {COLUMNS[1]} │")
    assert stacked[:3] == [
        "arm                vanilla",
        "  win rate [95 %]  51.0 % [48.2, 53.8]",
        "  judge            +0.123",
    ]


def test_a_cell_that_is_longer_than_the_line_has_one_of_its_own():
    path = "/a/" + "very-long-name/" * 6
    assert table_lines(("first", "n"), [(path, "3")], 1, 60) == ["first", f"  {path}", "  n      3"]


def test_characters_that_take_two_columns_are_counted_as_two():
    lines = table_lines(("気温", "n"), [("東京", "1"), ("x", "2")], 1, None)
    assert lines[3:5] == ["│ 東京 │ 1 │", "│ x    │ 2 │"]

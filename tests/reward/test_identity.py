"""What names pairs: equal identities, equal content."""

from __future__ import annotations

from frft.reward import pairs_identity


def test_pairs_are_named_by_everything_that_is_read_of_them(pool):
    asked = pool.append_column("request", [[f"request {row // 3}" for row in range(36)]])
    others = [
        pool,
        pool.slice(1),
        pool.set_column(1, "prompt", [[f"{text}?" for text in pool["prompt"].to_pylist()]]),
        pool.append_column("margin", [[1.0] * 36]),
        asked,
        pool.append_column("request", [["one"] * 36]),
        pool.append_column("chosen_source", [["a"] * 36]),
    ]
    names = [pairs_identity(table, "chosen_source") for table in others]
    assert len(set(names)) == len(others)
    assert pairs_identity(others[-1]) == pairs_identity(pool), "sources are read where they are asked for"
    assert pairs_identity(asked.select(["request", *pool.column_names])) == pairs_identity(asked)

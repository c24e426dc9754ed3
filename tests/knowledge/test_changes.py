from __future__ import annotations

from posology.knowledge.changes import Change, compare
from posology.knowledge.library import Library
from posology.knowledge.sheet import review_rows


def test_the_same_base_has_no_changes(real: Library) -> None:
    changes = compare(review_rows(real), review_rows(real))
    assert (changes.added, changes.removed, changes.changed, changes.not_compared) == ((), (), (), ())


def test_added_removed_and_changed_by_field(small: Library) -> None:
    old = review_rows(small)
    gone, kept = old[0], old[1:]
    new = [{**row} for row in kept]
    new[3]["verdict"], new[3]["as_of"] = "OK", "2026"
    new.append({**gone, "id": "zz.new"})
    changes = compare(old, new)
    assert [row["id"] for row in changes.added] == ["zz.new"]
    assert [row["id"] for row in changes.removed] == [gone["id"]]
    name = new[3]["id"]
    assert changes.changed == (
        Change(name, "verdict", kept[3]["verdict"], "OK"),
        Change(name, "as_of", "2020", "2026"),
    )
    assert changes.changed_facts == 1


def test_the_order_of_rows_does_not_matter(small: Library) -> None:
    rows = review_rows(small)
    assert compare(rows, list(reversed(rows))) == compare(rows, rows)


def test_a_column_that_one_side_lacks_is_named_and_not_compared(small: Library) -> None:
    rows = review_rows(small)
    older = [{name: cell for name, cell in row.items() if name != "risk"} for row in rows]
    assert compare(older, rows).not_compared == ("risk",)
    assert compare(older, rows).changed == ()


def test_from_nothing(small: Library) -> None:
    rows = review_rows(small)
    changes = compare([], rows)
    assert (len(changes.added), changes.not_compared) == (len(rows), ())

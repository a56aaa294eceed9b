"""Pages: handed out once, shared by content, given up in the order of their last use."""

from __future__ import annotations

import pytest

from paddock.inference.engine.pages import ROOT, PageTable


def filled(table: PageTable, tokens: list[int]) -> tuple[int, ...]:
    """Pages for ``tokens``, registered as a text that was computed."""
    size = table.page_size
    pages = table.take(-(-len(tokens) // size))
    name = ROOT
    for i in range(len(tokens) // size):
        name = table.register(name, tokens[i * size : (i + 1) * size], pages[i])
    return pages


def test_pages_are_handed_out_once_and_the_lowest_first() -> None:
    table = PageTable(3, 4)
    assert table.take(2) == (0, 1)
    table.give_back([0])
    assert table.take(2) == (0, 2)
    assert (table.free, table.used, table.available) == (0, 3, 0)
    with pytest.raises(AssertionError):
        table.take(1)
    table.give_back([2])
    with pytest.raises(AssertionError):
        table.give_back([2])


def test_a_text_finds_the_pages_it_begins_with_but_never_its_last_token() -> None:
    table = PageTable(8, 2)
    pages = filled(table, [1, 2, 3, 4, 5])
    assert table.find([1, 2, 3, 4, 5, 6])[0] == pages[:2]
    assert table.find([1, 2, 3, 4])[0] == pages[:1]
    assert table.find([1, 2, 9, 9, 9])[0] == pages[:1]
    assert table.find([3, 4, 5])[0] == ()  # the same tokens behind another beginning
    assert table.find([1])[0] == ()


def test_cached_pages_can_be_shared_until_they_are_needed() -> None:
    table = PageTable(4, 2)
    pages = filled(table, [1, 2, 3, 4])
    table.give_back(pages)
    assert (table.used, table.cached, table.free) == (0, 2, 2)
    found, _ = table.find([1, 2, 3, 4, 5])
    assert found == pages
    assert table.unused(found) == 2
    table.share(found)
    table.share(found[:1])
    assert (table.used, table.cached) == (2, 0)
    table.give_back(found)
    assert (table.used, table.cached) == (1, 1)
    assert len(set(table.take(3))) == 3
    assert table.find([1, 2, 3, 4, 5])[0] == pages[:1]


def test_what_was_not_used_for_longest_goes_first_and_ends_before_beginnings() -> None:
    table = PageTable(4, 1)
    first, second = filled(table, [1, 2]), filled(table, [3, 4])
    table.give_back(second)
    table.give_back(first)
    assert table.take(1) == second[1:]
    assert table.find([3, 4, 5])[0] == second[:1]
    assert table.take(1) == second[:1]
    assert table.find([1, 2, 3])[0] == first
    assert table.take(1) == first[1:]


def test_the_same_content_twice_is_known_once() -> None:
    table = PageTable(4, 2)
    first, second = filled(table, [1, 2, 3, 4]), filled(table, [1, 2, 5, 6])
    table.give_back(second)
    assert table.find([1, 2, 5, 6, 7])[0] == (first[0], second[1])
    assert (table.cached, table.free) == (1, 1)


def test_a_beginning_that_was_given_up_and_came_again_does_not_lead_to_old_ends() -> None:
    table = PageTable(2, 1)
    table.give_back(filled(table, [1, 2]))
    (end,) = table.take(1)
    (beginning,) = table.take(1)
    assert table.find([1, 2, 3])[0] == ()
    table.register(ROOT, [1], end)
    assert table.find([1, 2, 3])[0] == (end,)
    table.give_back([end])
    table.give_back([beginning])
    assert (table.free, table.cached) == (1, 1)

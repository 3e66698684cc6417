"""Sizes that the kernel reports."""

import pytest

from loadtest.host.processes import kilobytes


def test_a_line_of_the_kernel_is_read_by_its_whole_name() -> None:
    text = "Rss:  20 kB\nPss_Anon:  5 kB\nPss:      12 kB\n"
    assert kilobytes(text, "Pss") == 12
    with pytest.raises(KeyError):
        kilobytes(text, "Swap")

"""The sanity list that needs no run: every check of the machinery is green, and its gradient check is exact."""

from __future__ import annotations

from posology.recipes.doctor import machinery


def test_the_machinery_is_sound() -> None:
    checks = machinery()
    assert len(checks) == 4 and [check.detail for check in checks if not check.passed] == []


def test_the_gradient_check_runs_in_double_precision() -> None:
    detail = next(check.detail for check in machinery() if check.name == "gradient = finite difference")
    exact, measured = (float(text) for text in detail.split(" against "))
    assert abs(exact - measured) < 1e-3 * abs(exact)  # in single precision rounding alone is 50 times that

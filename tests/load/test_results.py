from tests.load.bench.measure import Cell
from tests.load.bench.results import ratios, summaries


def cell(number: int, contender: str, throughput: float, error: str | None = None) -> Cell:
    return Cell(
        round=number, work="list", contender=contender, throughput=throughput, p50=1000 / throughput, error=error
    )


def test_a_ratio_is_the_median_of_those_within_the_rounds_and_not_that_of_the_medians() -> None:
    ours, theirs = (100, 60, 30), (10, 5, 20)
    cells = [cell(n, key, x) for key, rounds in (("ours", ours), ("peer", theirs)) for n, x in enumerate(rounds)]
    [ratio] = ratios(cells)
    assert (ratio.throughput, ratio.lowest, ratio.highest) == (10, 1.5, 12)
    assert ratio.p50 == 0.1


def test_each_form_of_ours_is_compared_with_all_others_and_no_peer_is() -> None:
    compared = {(one.contender, one.against) for one in ratios([cell(0, key, 1) for key in ("ours", "ours-2", "peer")])}
    assert compared == {("ours", "ours-2"), ("ours", "peer"), ("ours-2", "ours"), ("ours-2", "peer")}


def test_a_round_with_an_error_leaves_no_ratio_and_is_told() -> None:
    cells = [cell(0, "ours", 100), cell(1, "ours", 100), cell(0, "peer", 10), cell(1, "peer", 1, error="of wrk")]
    assert not ratios(cells)
    assert {one.contender: one.error for one in summaries(cells)} == {"ours": None, "peer": "of wrk"}

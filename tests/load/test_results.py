from tests.load.bench.results import Cell, ratios, summaries


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


def test_what_was_found_under_open_load_is_summarized_by_percentage_and_compared_with_nothing() -> None:
    closed = [cell(number, key, 100) for number in range(2) for key in ("ours", "peer")]
    under = [
        Cell(round=number, work="list", contender="ours", percent=percent, rate=percent, p50=number + percent)
        for number in range(2)
        for percent in (25, 50)
    ]
    found = [(one.contender, one.percent, one.rate, one.p50) for one in summaries(closed + under)]
    assert found == [("ours", None, None, 10), ("peer", None, None, 10), ("ours", 25, 25, 25.5), ("ours", 50, 50, 50.5)]
    assert [(one.contender, one.throughput) for one in ratios(closed + under)] == [("ours", 1)]


def test_a_percentile_that_one_round_had_too_few_requests_for_is_left_out() -> None:
    cells = [Cell(round=number, work="list", contender="ours", p999=p999) for number, p999 in enumerate((3, 5))]
    assert [one.p999 for one in summaries(cells)] == [4]
    few = Cell(round=2, work="list", contender="ours")
    assert [one.p999 for one in summaries([*cells, few])] == [None]


def test_processor_time_is_compared_unless_it_was_too_short_to_be_counted() -> None:
    def used(contender: str, application_cpu: float) -> Cell:
        return Cell(round=0, work="one", contender=contender, throughput=1, p50=1, application_cpu=application_cpu)

    cells = [used("ours", 90), used("floor", 30), used("idle", 0)]
    assert {one.against: one.application_cpu for one in ratios(cells)} == {"floor": 3, "idle": None}

from endoforge.captures.tally import EXAMPLES_KEPT, Tally


def test_drops_are_counted_by_reason_and_by_run():
    tally = Tally()
    tally.drop("frame: image missing", "run_1/labels/a.json", "images/a.png")
    tally.drop("frame: image missing", "run_2/labels/a.json")
    tally.count("box: too many", "run_2/labels/b.json", 5)
    assert tally.counts == {"frame: image missing": 2, "box: too many": 5}
    assert tally.by_run == {
        ("frame: image missing", "run_1"): 1,
        ("frame: image missing", "run_2"): 1,
        ("box: too many", "run_2"): 5,
    }
    assert tally.lines() == [
        "5 x box: too many, such as run_2/labels/b.json",
        "2 x frame: image missing, such as run_1/labels/a.json (images/a.png), run_2/labels/a.json",
    ]


def test_a_tally_added_to_another_is_as_if_that_had_counted():
    places = [("run_1", 2), ("run_2", 3), ("run_3", 1)]
    whole, sum_of_parts = Tally(), Tally()
    for run, number in places:
        part = Tally()
        for k in range(number):
            for tally in (whole, part):
                tally.drop("image: no label names it", f"{run}/images/{k}.png")
        sum_of_parts.add(part)
    assert sum_of_parts == whole
    assert len(whole.examples["image: no label names it"]) == EXAMPLES_KEPT

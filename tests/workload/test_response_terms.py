"""Words of the responses as a domain vocabulary to begin with."""

from __future__ import annotations

from analysis.workload import Example, Turn, response_terms, sample_workload


def answered(number: int, response: str | None) -> Example:
    return Example(turns=(Turn("user", f"Question {number}"),), response=response)


def halves(responses: list[str]) -> list[Example]:
    """Enough questions that every response falls into the calibration half at least once."""
    return [answered(number, response) for number in range(24) for response in responses]


def test_words_of_most_responses_come_first_and_each_once() -> None:
    found = response_terms(halves(["pass: in tolerance", "pass, pass", "fail"]))
    assert set(found) == {"pass", "in", "tolerance", "fail"}
    assert found[0] == "pass"


def test_japanese_responses_give_words_without_spaces_and_figures_are_none() -> None:
    assert set(response_terms(halves(["合格です。ベアリング 24.9 mm"]))) == {"合格", "ベアリング", "mm"}


def test_nothing_of_the_verification_half_is_proposed() -> None:
    examples = [answered(number, f"word{'abcdefghijklmnopqrstuvwxyz'[number]}") for number in range(26)]
    proposed = set(response_terms(examples))
    assert proposed == {example.response for example in examples if example.part == "calibration"}
    assert len(proposed) < 26


def test_examples_without_a_response_propose_nothing_and_the_limit_holds() -> None:
    assert response_terms([answered(1, None)]) == ()
    assert len(response_terms(sample_workload().examples, limit=5)) == 5

import pytest

from partitions.errors import DeclarationError
from partitions.names import MAX_KEY, check_project_name, check_stage_name, check_subproject_key, clashes


@pytest.mark.parametrize("key", ["AA", "a", "9E", "EWR-LAX", "v1.2_x", "x" * MAX_KEY])
def test_a_legal_subproject_key_is_given_back(key: str) -> None:
    assert check_subproject_key(key) == key


@pytest.mark.parametrize("key", ["", "a,b", "a b", ".a", "-a", "_a", "a/b", "ä", "AA\n", "a...b*", None, 3])
def test_an_illegal_subproject_key_is_refused_in_one_line(key: str) -> None:
    with pytest.raises(DeclarationError, match="illegal subproject key") as refused:
        check_subproject_key(key)
    assert "\n" not in str(refused.value)


def test_a_subproject_key_has_at_most_128_characters() -> None:
    with pytest.raises(DeclarationError, match="has 129 characters; at most 128"):
        check_subproject_key("x" * 129)


@pytest.mark.parametrize("name", ["", "Delays", "9delays", "flight-delays", "flight delays", "delays\n"])
def test_an_illegal_project_or_stage_name_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match="illegal project name"):
        check_project_name(name)
    with pytest.raises(DeclarationError, match="illegal stage name"):
        check_stage_name(name)


def test_archive_is_no_name_for_a_stage() -> None:
    with pytest.raises(DeclarationError, match="'archive' is reserved"):
        check_stage_name("archive")
    assert check_project_name("archive") == "archive"


def test_keys_that_repeat_or_differ_only_by_case_are_named_with_their_places() -> None:
    assert [str(problem) for problem in clashes(["AA", "B6", "AA", "b6"])] == [
        "[2].key: 'AA' is already the key of [0]; keys must be unique",
        "[3].key: 'b6' differs only by case from 'B6' of [1]; rename one",
    ]
    assert clashes(["AA", "AB"]) == []

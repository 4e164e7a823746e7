from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ackbox.kube.conditions import conditions, merge_difference, progressing, ready, stalled

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def with_conditions(found):
    return {"metadata": {"generation": 7}, "status": {"conditions": found}}


def test_a_transition_time_changes_only_with_the_status():
    first = conditions(with_conditions([]), progressing("Working"), EARLY)
    second = conditions(with_conditions(first), progressing("StillWorking"), LATE)
    third = conditions(with_conditions(second), ready(), LATE)
    assert [c["lastTransitionTime"] for c in second] == [c["lastTransitionTime"] for c in first]
    assert third == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Ready",
            "message": "",
            "lastTransitionTime": "2026-01-02T00:00:00Z",
            "observedGeneration": 7,
        }
    ]


def test_abnormal_conditions_vanish_when_they_no_longer_hold():
    found = conditions(with_conditions([]), stalled("Wrong", "because"), EARLY)
    assert {c["type"] for c in found} == {"Ready", "Stalled"}
    found = conditions(with_conditions(found), progressing("Working"), LATE)
    assert {c["type"] for c in found} == {"Ready", "Reconciling"}


def test_conditions_of_others_stay():
    other = {"type": "Other", "status": "True", "reason": "X", "message": "", "lastTransitionTime": "t"}
    assert other in conditions(with_conditions([other]), ready(), EARLY)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
objects = st.recursive(
    st.dictionaries(st.sampled_from("abc"), scalars, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | st.lists(scalars, max_size=2), max_size=3),
    max_leaves=8,
)


def merged(target, patch):
    """RFC 7396, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(objects, objects)
def test_the_difference_leads_to_the_wanted_fields_and_then_there_is_none(old, new):
    old = merged({}, old)
    after = merged(old, merge_difference(old, new))
    assert after == merged(old, new)
    assert merge_difference(after, new) == {}

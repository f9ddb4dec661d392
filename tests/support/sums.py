"""What the records of one pod add up to."""

from carrel.cluster import JSON


def reconciled(records: list[JSON]) -> int:
    """Check each comparison against the records before it; return what the last one counted.

    `records` are those of one pod, in order. What the loopback services refuse has no group: it
    is no packet that the kernel counted.
    """
    told_so_far = last = 0
    for record in records:
        detail = record["detail"]
        if record["activity"] in ("TrafficDenied", "TrafficLost") and "group" in detail:
            told_so_far += detail["count"]
        elif record["activity"] == "CountsReconciled":
            counted = sum(detail[key] for key in ("counted", "base", "wireCounted", "wireBase"))
            assert told_so_far == detail["recorded"] + detail["lost"] + (
                detail["wireRecorded"] + detail["wireLost"]
            )
            if detail["outcome"] in ("Exact", "Lost"):
                assert told_so_far == counted
            last = counted
    return last

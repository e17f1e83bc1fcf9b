"""What a run tells about itself."""

import collections
import re

RECOVERY = re.compile(r"recovery starts: chunk=.*?: (.*)")


def recoveries(log):
    """{why: how many}, as the master says."""
    why = collections.Counter()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if found := RECOVERY.search(line):
            why[re.sub(r"\d+", "N", found[1])] += 1
    return why


def longest_gap(times, begin, end):
    """The longest stretch of [begin, end] without any of these times."""
    inside = [begin] + [time for time in times if begin < time < end] + [end]
    return max(later - earlier for earlier, later in zip(inside, inside[1:]))


def gaps_of_lone_faults(spans, times, end):
    """{kind: (longest time without an acknowledgement, of anybody and of one writer; how many such
    faults)} for faults that were alone, each until the next one began. `times`: of each writer."""
    everybody = sorted(time for own in times.values() for time in own)
    spans = sorted(spans, key=lambda span: span.begin)
    gaps = {}
    for i, span in enumerate(spans):
        until = spans[i + 1].begin if i + 1 < len(spans) else end
        if until < span.end or any(other.end > span.begin for other in spans[:i]):
            continue
        anybody = longest_gap(everybody, span.begin, until)
        one = max((longest_gap(own, span.begin, until) for own in times.values()), default=0)
        so_far = gaps.get(span.kind, (0, 0, 0))
        gaps[span.kind] = (max(so_far[0], anybody), max(so_far[1], one), so_far[2] + 1)
    return gaps


def tell(load, injector, verdict, problems, start, say):
    times = load.ack_times()
    everybody = sorted(time for own in times.values() for time in own)
    count = len(everybody)
    errors = sum(len(writer.acks().errors) for writer in load.everybody if writer.acks())
    reads = [reader.report() for reader in load.readers if reader.report_path.exists()]
    rotations = [writer.rotation() for writer in load.rotators if writer.report_path.exists()]
    say("faults:")
    for kind, number in sorted(injector.counts.items()):
        say(f"  {number:6} {kind}")
    say("recoveries:")
    for why, number in sorted(recoveries(injector.cluster.dir / "log" / "master.log").items()):
        say(f"  {number:6} {why}")
    if injector.started_again:
        say(f"servers that ended by themselves and were started again: {injector.started_again}")
    say(
        f"acknowledged: {count} lines, {verdict.bytes} bytes in {verdict.files} files, "
        f"{sum(len(r['kept']) + len(r['removed']) - 1 for r in rotations)} rotations; "
        f"answered with an error: {errors}"
    )
    say(
        f"readers: {sum(len(r['looks']) for r in reads)} looks, "
        f"{sum(len(r['errors']) for r in reads)} failed"
    )
    for begin, seconds, what in sorted(sum((r["errors"] for r in reads), [])):
        say(f"  [{begin - start:6.1f}] after {seconds:.1f} s: {what}")
    say(
        f"compared: {verdict.replicas} replicas of {verdict.chunks} chunks; {verdict.short} short ones of"
        f" open chunks, {verdict.rotten} flipped bytes nobody had read yet"
    )
    say(
        f"lost {verdict.lost}, torn {verdict.torn}, doubled {verdict.doubled}, "
        f"out of order {verdict.swapped}; stale looks of readers {verdict.stale}"
    )
    if count:
        begin, end = everybody[0], everybody[-1]
        one = max(longest_gap(own, begin, end) for own in times.values())
        say(
            "longest time without an acknowledgement: "
            f"{longest_gap(everybody, begin, end):.2f} s of anybody, {one:.2f} s of one writer"
        )
        say("  by faults that were alone (anybody, one writer, how many):")
        for kind, gaps in sorted(gaps_of_lone_faults(injector.spans, times, end).items()):
            say(f"  {gaps[0]:6.2f} {gaps[1]:6.2f} {gaps[2]:4} {kind}")
    for problem in problems:
        say(f"PROBLEM: {problem}")
    say("FAILED" if problems else "passed")

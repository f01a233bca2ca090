#!/usr/bin/env python3
"""`rooftrace trace export` of fleets that come and go: slices never overlap on a track and lie within
the run, a request is in one place at a time and in none without a replica that serves, what a crash
cut off ends there and begins again elsewhere. Small cases to the microsecond, large ones by these
rules.

Environment: ROOFTRACE = the executable. Standard library only.
"""
import collections
import json
import pathlib

import run_case

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVES = ("ready", "draining")
NEAR = 1e-3  # microseconds: times are exact, sums of two are not


class Timeline(run_case.RunCase):
    def small(self, rows, pool, **more):
        """Replays (arrival, prompt, output) on one pool, with step records."""
        pool = {"gpu": "h100-sxm", "startup": {"load_s": 0.1}, **pool}
        self.run_it(self.write_scenario(rows, pool, **more), "--steps")

    def export(self, *options):
        out = self.folder / "out.json"
        self.rooftrace("trace", "export", self.db, "--perfetto", out, *options)
        return json.loads(out.read_text())["traceEvents"]

    def slices(self, events):
        """{(pid, request): [(name, begin, end)]}, in order of their ends, each within the one around it."""
        stacks, found = collections.defaultdict(list), collections.defaultdict(list)
        for e in events:
            if e["ph"] not in "be":
                continue
            stack = stacks[e["pid"], e["id"]]
            if e["ph"] == "b":
                if stack:
                    self.assertLessEqual(stack[-1]["ts"], e["ts"])
                stack.append(e)
                continue
            begin = stack.pop()
            self.assertEqual(begin["name"], e["name"])
            self.assertLessEqual(begin["ts"], e["ts"])
            found[e["pid"], int(e["id"])].append((e["name"], begin["ts"], e["ts"]))
        self.assertFalse(any(stacks.values()))
        for key, parts in found.items():
            wholes = [part for part in parts if part[0] == "request"]
            for name, begin, end in parts:
                self.assertTrue(name == "waits for a replica" or
                                any(a <= begin and end <= b for _, a, b in wholes), (key, name))
        return found

    def places(self, events, request):
        """Where a request was, in milliseconds: 'fleet' while it waited."""
        return sorted((round(begin / 1e3, 6), round(end / 1e3, 6), pid - 2 if pid > 1 else "fleet")
                      for (pid, found), parts in self.slices(events).items() if found == request
                      for name, begin, end in parts if name in ("request", "waits for a replica"))

    def states(self, events):
        found = collections.defaultdict(list)
        for e in events:
            if e.get("cat") == "state":
                found[e["pid"]].append((e["name"], e["ts"], e["ts"] + e["dur"]))
        return found

    def check(self, events):
        """What holds of every timeline of a fleet that comes and goes."""
        end_us = self.rows("SELECT duration_s FROM run")[0][0] * 1e6
        tracks = collections.defaultdict(list)
        for e in events:
            self.assertGreaterEqual(e["ts"], 0)
            self.assertLessEqual(e["ts"] + e.get("dur", 0), end_us + NEAR, e)
            if e["ph"] == "X":
                tracks[e["pid"], e["tid"]].append((e["ts"], e["ts"] + e["dur"]))
        for track in tracks.values():
            track.sort()
            for (_, end), (start, _) in zip(track, track[1:]):
                self.assertLessEqual(end, start + NEAR)
        states = self.states(events)
        self.assertEqual({e["pid"] for e in events if e["name"] == "process_name"} - {1}, set(states))
        for e in events:
            if e.get("cat") == "step":
                self.assertTrue(self.served(states[e["pid"]], e["ts"], e["ts"] + e["dur"]), e)
        for (pid, request), parts in self.slices(events).items():
            for name, begin, end in parts:
                if pid > 1 and name == "request":
                    self.assertTrue(self.served(states[pid], begin, end), (pid, request, begin, end))

    @staticmethod
    def served(states, begin, end):
        """Was the replica ready or draining all that time?"""
        at = begin
        for name, since, until in sorted(states, key=lambda s: s[1]):
            if name in SERVES and since <= at + NEAR and until > at:
                at = until
        return at >= end - NEAR or (begin == end and any(
            name in SERVES and since <= at + NEAR and until >= at - NEAR for name, since, until in states))

    def check_places(self, events):
        """Every request is in one place at a time, from arrival until it leaves; as the tables say."""
        lost = collections.defaultdict(list)
        for request, replica, lost_ns in self.rows(
                "SELECT request_id, replica, lost_ns FROM request_retry ORDER BY request_id, retry"):
            lost[request].append((replica + 2, lost_ns / 1e3))
        requests = self.rows("SELECT request_id, replica, status, arrival_s, left_s FROM requests")
        end_us = self.rows("SELECT duration_s FROM run")[0][0] * 1e6
        stays = collections.defaultdict(list)
        for (pid, request), parts in self.slices(events).items():
            stays[request] += [(begin, end, pid) for name, begin, end in parts
                               if name in ("request", "waits for a replica")]
        for request, replica, status, arrival_s, left_s in requests:
            places = sorted(stays.pop(request, []))
            left_us = end_us if left_s is None else left_s * 1e6
            if status == "rejected" and left_us - arrival_s * 1e6 < NEAR:
                self.assertEqual(places, [])
                continue
            self.assertAlmostEqual(places[0][0], arrival_s * 1e6, delta=NEAR)
            self.assertAlmostEqual(places[-1][1], left_us, delta=NEAR)
            for (_, end, _), (begin, _, _) in zip(places, places[1:]):
                self.assertAlmostEqual(end, begin, delta=NEAR)
            served = [(pid, end) for _, end, pid in places if pid > 1]
            self.assertEqual(served[:len(lost[request])], lost[request])
            if len(served) > len(lost[request]):
                self.assertEqual(served[-1][0], replica + 2)
        self.assertFalse(stays)

    OUTAGE = {"replicas": 2, "failures": {"outages": [{"at_s": 0.2, "replica": 0, "for_s": 0.1}]}}

    def test_a_crash_moves_a_request(self):
        self.small([(0, 10, 50), (0.005, 10, 30)], self.OUTAGE)
        events = self.export()
        self.check(events)
        self.check_places(events)
        self.assertEqual(self.places(events, 0), [(0, 200, 0), (200, 505, 1)])
        self.assertEqual(self.places(events, 1), [(5, 305, 1)])
        found = self.slices(events)
        self.assertEqual(found[2, 0], [("queue", 0, 0), ("prefill", 0, 10e3), ("decode", 10e3, 200e3),
                                       ("request", 0, 200e3)])
        self.assertEqual(found[3, 0], [("decode", 200e3, 505e3), ("request", 200e3, 505e3)])
        self.assertEqual(self.states(events)[2], [("ready", 0, 200e3), ("down", 200e3, 300e3),
                                                  ("starting", 300e3, 400e3), ("ready", 400e3, 505e3)])
        names = {(e["pid"], e["name"]): e["args"]["name"] for e in events
                 if e["ph"] == "M" and e.get("tid", 2) == 2 and "name" in e["args"]}
        self.assertEqual(names[2, "thread_name"], "state")

    def test_a_restart_waits(self):
        self.small([(0, 10, 50), (0.6, 10, 5)], self.OUTAGE, retry={"mode": "restart", "delay_s": 0.05})
        events = self.export()
        self.check(events)
        self.check_places(events)
        self.assertEqual(self.places(events, 0), [(0, 200, 0), (200, 250, "fleet"), (250, 750, 1)])
        found = self.slices(events)
        self.assertEqual(found[2, 0], [("request", 0, 200e3)])  # of what it lost nothing is known
        self.assertEqual(found[3, 0], [("prefill", 250e3, 260e3), ("decode", 260e3, 750e3),
                                       ("request", 250e3, 750e3)])

    def test_who_fails_ends_with_its_replica(self):
        self.small([(0, 10, 50), (0.3, 10, 40)], self.OUTAGE, retry={"mode": "fail"})
        events = self.export()
        self.check(events)
        self.check_places(events)
        self.assertEqual(self.places(events, 0), [(0, 200, 0)])

    def test_from_nothing_and_back(self):
        self.small([(1, 10, 10), (2, 10, 10)], {"replicas": 0, "scaling": {
            "policy": "queue_depth", "min_replicas": 0, "max_replicas": 3, "interval_s": 0.1,
            "target_requests": 2, "scale_down_window_s": 0.2}})
        events = self.export()
        self.check(events)
        self.check_places(events)
        self.assertEqual(self.places(events, 0), [(1000, 1100, "fleet"), (1100, 1200, 0)])
        self.assertEqual({e["pid"] for e in events if e["name"] == "process_name"}, {1, 2})
        self.assertEqual([s[0] for s in self.states(events)[2]], ["starting", "ready", "starting", "ready"])

    def test_timeouts_end_where_they_wait(self):
        self.small([(0, 10, 5), (0.3, 10, 5)], {"replicas": 1, "failures": {
            "outages": [{"at_s": 0.02, "replica": 0, "for_s": 5}]}}, timeout_s=0.5)
        events = self.export()
        self.check(events)
        self.check_places(events)
        self.assertEqual(self.places(events, 0), [(0, 20, 0), (20, 500, "fleet")])
        self.assertEqual(self.places(events, 1), [(300, 800, "fleet")])

    def large(self, *options):
        self.rooftrace("run", "--trace", ROOT / "traces/sample.csv", "--model", "llama-3.1-8b", "--gpu", "l40s",
                       "--rate-scale", 3, "--max-requests", 1000, "--steps", "-o", self.db, *options)
        self.assertGreater(self.rows("SELECT count(*) FROM request_retry")[0][0], 20)

    def test_crashes_and_autoscaling(self):
        self.large("--autoscale", "queue_depth:16", "--min-replicas", 0, "--max-replicas", 6, "--startup-s", 20,
                   "--crash-mean-s", 60, "--repair-mean-s", 30, "--timeout-s", 40)
        events = self.export()
        self.check(events)
        self.check_places(events)
        self.assertGreater(self.rows("SELECT count(*) FROM request_left")[0][0], 20)
        steps = sum(e.get("cat") == "step" for e in events)
        self.assertEqual(steps, self.rows("SELECT count(*) FROM step")[0][0])

    def test_restarts_and_pipelines(self):
        self.large("--replicas", 5, "--pipeline-parallel-size", 2, "--crash-mean-s", 40, "--repair-mean-s", 10,
                   "--startup-s", 3, "--retry", "restart")
        events = self.export()
        self.check(events)
        self.check_places(events)

    def test_windows_and_single_replicas(self):
        self.large("--replicas", 4, "--crash-mean-s", 60, "--repair-mean-s", 30, "--startup-s", 5)
        whole = self.slices(self.export())
        for begin, end in ((30, 60), (61.5, 61.6)):
            window = self.export("--from-s", begin, "--to-s", end)
            for pid, found in self.states(window).items():
                self.assertTrue(all(since < end * 1e6 and until > begin * 1e6 for _, since, until in found), pid)
            seen = self.slices(window)
            want = {key: [part for part in parts if part[0] == "request" and
                          part[1] < end * 1e6 and part[2] > begin * 1e6] for key, parts in whole.items()}
            for key, parts in want.items():
                self.assertEqual(parts, [part for part in seen.get(key, []) if part[0] == "request"], key)
            one = self.export("--from-s", begin, "--to-s", end, "--replica", 2)
            self.assertEqual({e["pid"] for e in one}, {4})
            self.assertEqual(self.slices(one), {key: parts for key, parts in seen.items() if key[0] == 4})


if __name__ == "__main__":
    run_case.main()

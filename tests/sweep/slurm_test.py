#!/usr/bin/env python3
"""tools/slurm/sweep.sbatch on a real Slurm: one node, started here and ended here.

munged, slurmctld and slurmd run as this user, in a folder of their own, on free ports (Debian:
slurmctld slurmd slurm-client munge). An array of three tasks runs a plan, the shards are merged, and
the result equals a sweep without Slurm. Exit code 77 (skipped) where Slurm is not installed or cannot
start. Environment: ROOFTRACE = the executable. Standard library only.
"""
import contextlib
import getpass
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import sweep_test  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = str(pathlib.Path(shutil.which(os.environ.get("ROOFTRACE", "rooftrace")) or "none"))
STARTING_S, RUNNING_S = 30, 120
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def programs():
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    found = {p: shutil.which(p, path=path)
             for p in ("munged", "slurmctld", "slurmd", "sbatch", "sinfo", "squeue")}
    missing = [p for p, where in found.items() if where is None]
    if missing:
        skip(f"{', '.join(missing)} not installed (Debian: slurmctld slurmd slurm-client munge)")
    return found


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@contextlib.contextmanager
def daemon(words, log, env):
    with open(log, "w") as out:
        process = subprocess.Popen(list(map(str, words)), stdout=out, stderr=out, env=env)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(what, ready, processes, logs):
    deadline = time.monotonic() + STARTING_S
    while not ready():
        ended = [p.args[0] for p in processes if p.poll() is not None]
        if ended or time.monotonic() > deadline:
            tails = "\n".join(pathlib.Path(log).read_text()[-800:] for log in logs
                              if pathlib.Path(log).exists())
            skip(f"{what} does not start here{' (ended: ' + ended[0] + ')' if ended else ''}:\n"
                 f"{tails}")
        time.sleep(0.05)


@contextlib.contextmanager
def slurm(folder):
    """An environment in which sbatch works, and the programs."""
    tool = programs()
    host = socket.gethostname().split(".")[0]
    ports = free_ports(2)
    (folder / "slurm.conf").write_text(CONFIGURATION.format(
        folder=folder, user=getpass.getuser(), host=host, ctld_port=ports[0], d_port=ports[1],
        cpus=os.cpu_count(), memory_mb=memory_mb()))
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    env = {**sweep_test.ENV, "SLURM_CONF": str(folder / "slurm.conf"), "ROOFTRACE": ROOFTRACE}
    munge = [tool["munged"], "--foreground", f"--socket={folder}/munge.socket",
             f"--key-file={key}", f"--pid-file={folder}/munged.pid",
             f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    logs = [folder / name for name in ("munged.out", "ctld.out", "slurmd.out", "munged.log",
                                       "slurmctld.log", "slurmd.log")]
    with daemon(munge, logs[0], env) as a:
        wait_for("munged", (folder / "munge.socket").exists, [a], logs)
        with daemon([tool["slurmctld"], "-D", "-c", "-f", folder / "slurm.conf"], logs[1], env) as b, \
                daemon([tool["slurmd"], "-D", "-c", "-f", folder / "slurm.conf"], logs[2], env) as c:
            def idle():
                done = subprocess.run([tool["sinfo"], "-h", "-o", "%T"], text=True, env=env,
                                      capture_output=True, timeout=60)
                return done.stdout.strip() == "idle"
            wait_for("Slurm", idle, [a, b, c], logs)
            yield env, tool


def memory_mb():
    with open("/proc/meminfo") as f:
        total_kb = int(f.readline().split()[1])
    return max(total_kb // 1024 - 500, 100)


def run(env, words, folder):
    done = subprocess.run(list(map(str, words)), cwd=folder, env=env, text=True,
                          capture_output=True, timeout=RUNNING_S)
    if done.returncode != 0:
        logs = "\n".join(p.read_text() for p in folder.glob("*.log"))
        sys.exit(f"{words[0]}: {done.stderr}\n{logs[-4000:]}")
    return done.stdout


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o711)  # munged wants others to reach its socket
        (folder / "trace.csv").write_text(sweep_test.rows(300))
        (folder / "scenario.json").write_text(json.dumps(sweep_test.SCENARIO))
        (folder / "plan.json").write_text(json.dumps(sweep_test.PLAN))
        with slurm(folder) as (env, tool):
            job = run(env, [tool["sbatch"], "--parsable", "--array=1-3", "--mem-per-cpu=100",
                            ROOT / "tools/slurm/sweep.sbatch", "plan.json", "array.db"], folder)
            deadline = time.monotonic() + RUNNING_S
            while run(env, [tool["squeue"], "-h", "-j", job.strip()], folder):
                if time.monotonic() > deadline:
                    sys.exit(f"the array does not end within {RUNNING_S} s")
                time.sleep(0.2)
        run(sweep_test.ENV, [ROOFTRACE, "sweep", "plan.json", "-o", "whole.db"], folder)
        shards = sorted(folder.glob("array.*-of-3.db"))
        if [s.name for s in shards] != [f"array.{i}-of-3.db" for i in (1, 2, 3)]:
            sys.exit(f"databases of the array: {[s.name for s in shards]}")
        run(sweep_test.ENV, [ROOFTRACE, "merge", "array.db", *shards], folder)
        merged, whole = (sweep_test.content(folder / n) for n in ("array.db", "whole.db"))
        for table, lines in whole.items():
            if merged[table] != lines:
                sys.exit(f"table {table} differs: {len(merged[table])} rows, {len(lines)} rows")
        if len(whole["run"]) != 12:
            sys.exit(f"{len(whole['run'])} runs instead of 12")
        print("an array of three tasks gives what one sweep gives: 12 trials")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""tools/dependencies.sh asks for the right packages in the right way, and fails with the way out.

A machine is a temporary folder that is the whole PATH: links to the few real tools the script runs,
and fakes of what it looks for. The fake pkg-config knows the libraries that the file `installed`
names; the fake package managers add the lines of the file `brings` to it and, as the fake sudo does,
write their command lines to the file `log`. Nothing outside the folder is touched.
"""

import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "tools", "dependencies.sh")

REAL = ["bash", "sh", "env", "sed", "awk", "sort", "tr", "cat", "rm", "mktemp", "grep"]
LIBS = ["libuv", "libcjson", "yajl", "sqlite3", "zlib", "libzstd", "cmocka"]
TOOLS = ["cc", "cmake", "ninja", "pkg-config", "python3", "sqlite3"]
CI_TOOLS = ["clang", "clang-tidy", "clang-format"]
EVERYTHING = TOOLS + CI_TOOLS + ["lib:" + lib for lib in LIBS]

PKG_CONFIG = """for arg; do :; done
grep -qx "lib:$arg" "$HERE/installed" && echo 9.9.9"""
LOGGED = 'echo "{name} $*" >>"$HERE/log"\n'
INSTALLS = 'case "$*" in *install*) cat "$HERE/brings" >>"$HERE/installed" ;; esac\n'


class Machine:
    """A PATH with what `installed` names; `brings` is what any install command makes appear."""

    def __init__(self, folder, installed, managers, brings=(), uid=0, sudo=False, works=True):
        self.folder = folder
        for name in REAL:
            os.symlink(shutil.which(name), os.path.join(folder, name))
        self.write("installed", "".join(name + "\n" for name in installed))
        self.write("log", "")
        self.write("brings", "".join(name + "\n" for name in brings))
        self.fake("id", f"echo {uid}")
        for name in managers:
            self.fake(name, LOGGED.format(name=name) + (INSTALLS if works else "exit 100"))
        if sudo:
            self.fake("sudo", LOGGED.format(name="sudo") + '[ "$1" != -n ] || shift\nexec "$@"')
        for name, body in {
            "cc": "cat >/dev/null",
            "cmake": "echo cmake version 3.25.1",
            "ninja": ":",
            "pkg-config": PKG_CONFIG,
            "python3": 'case "$*" in *version) echo Python 3.11.2 ;; esac',
            "sqlite3": "echo 3.40.1 2022-12-28",
            "clang": ":",
            "clang-tidy": ":",
            "clang-format": ":",
        }.items():
            if name in installed:
                self.fake(name, body)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def fake(self, name, body):
        self.write(name, f'#!{self.folder}/bash\nHERE={self.folder}\n{body}\n')
        os.chmod(os.path.join(self.folder, name), 0o755)

    def run(self, *args):
        """(exit status, output lines, logged command lines)"""
        done = subprocess.run([os.path.join(self.folder, "bash"), SCRIPT, *args], text=True,
                              env={"PATH": self.folder}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as log:
            return done.returncode, done.stdout.splitlines(), log.read().splitlines()


class Dependencies(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def machine(self, *lacking, managers=("apt-get",), **more):
        return Machine(self.folder, [n for n in EVERYTHING if n not in lacking], managers, **more)

    def test_nothing_missing_is_silent_and_runs_no_manager(self):
        self.assertEqual(self.machine(managers=["apt-get", "dnf", "brew"]).run("--ci"), (0, [], []))

    def test_check_installs_nothing(self):
        machine = self.machine("lib:yajl")
        self.assertEqual(machine.run("--check"), (1, ["Missing: yajl >= 2.1"], []))
        machine.write("installed", "".join("lib:" + lib + "\n" for lib in LIBS))
        self.assertEqual(machine.run("--check"), (0, [], []))

    def test_apt_as_root(self):
        machine = self.machine("lib:libuv", "lib:zlib", brings=["lib:libuv", "lib:zlib"])
        status, said, logged = machine.run()
        self.assertEqual(status, 0, said)
        self.assertEqual(said[0], "Missing: libuv >= 1.43, zlib >= 1.2")
        self.assertEqual(said[1], "Installing with: apt-get update && env DEBIAN_FRONTEND=noninteractive "
                         "apt-get install -y --no-install-recommends libuv1-dev zlib1g-dev")
        self.assertEqual(logged, ["apt-get update", "apt-get install -y --no-install-recommends "
                                  "libuv1-dev zlib1g-dev"])
        self.assertEqual(machine.run(), (0, [], logged))  # the second time there is nothing to do

    def test_every_package_has_its_debian_name(self):
        machine = Machine(self.folder, [], ["apt-get"])
        status, said, logged = machine.run("--ci")
        self.assertEqual(status, 1, said)
        self.assertTrue(logged[1].startswith("apt-get install -y --no-install-recommends "), logged)
        lacking = {"build-essential", "cmake", "ninja-build", "pkg-config", "libuv1-dev", "libcjson-dev",
                   "libyajl-dev", "libsqlite3-dev", "zlib1g-dev", "libzstd-dev", "libcmocka-dev",
                   "python3", "sqlite3", "clang", "clang-tidy", "clang-format"} - set(logged[1].split())
        self.assertEqual(lacking, set())
        self.assertIn("still missing after installing", said[-1])

    def test_sudo_asks_nobody_without_a_terminal(self):
        machine = self.machine("lib:yajl", brings=["lib:yajl"], uid=1000, sudo=True)
        status, said, logged = machine.run()
        self.assertEqual(status, 0, said)
        self.assertIn("sudo -n apt-get update && sudo -n env", said[1])
        self.assertEqual(logged[0], "sudo -n apt-get update")

    def test_neither_root_nor_sudo(self):
        status, said, logged = self.machine("lib:yajl", uid=1000).run()
        self.assertEqual((status, logged), (1, []))
        self.assertRegex(said[-1], "run by hand: sudo apt-get update && sudo .*apt-get install .* libyajl-dev$")

    def test_dnf(self):
        machine = self.machine("lib:yajl", "lib:cmocka", managers=["dnf", "brew"],
                               brings=["lib:yajl", "lib:cmocka"])
        status, said, logged = machine.run()
        self.assertEqual(status, 0, said)
        self.assertEqual(logged, ["dnf install -y libcmocka-devel yajl-devel"])

    def test_brew_never_runs_as_root(self):
        machine = self.machine("lib:libcjson", managers=["brew"], brings=["lib:libcjson"], uid=501, sudo=True)
        status, said, logged = machine.run()
        self.assertEqual(status, 0, said)
        self.assertEqual(logged[-1], "brew install cjson")
        self.assertFalse([line for line in logged if line.startswith("sudo")])

    def test_no_package_manager(self):
        status, said, _ = self.machine("lib:libuv", managers=[]).run()
        self.assertEqual(status, 1)
        self.assertRegex(said[-1], "neither apt-get, dnf nor brew.*libuv >= 1.43$")

    def test_no_compiler_under_brew_is_installed_by_hand(self):
        status, said, logged = self.machine("cc", managers=["brew"]).run()
        self.assertEqual(status, 1)
        self.assertRegex(said[-1], "by hand .*xcode-select --install.*compiler$")
        self.assertFalse([line for line in logged if "install" in line])

    def test_a_manager_that_fails_leaves_the_command(self):
        status, said, logged = self.machine("lib:yajl", works=False).run()
        self.assertEqual((status, len(logged)), (1, 2), said)  # a failed update does not stop it
        self.assertRegex(said[-1], "could not install; run by hand: apt-get update && .*libyajl-dev$")

    def test_too_old_is_missing(self):
        machine = self.machine(brings=[])
        for old in ("3.21.9", "2.99", "3"):
            machine.fake("cmake", f"echo cmake version {old}")
            status, said, _ = machine.run()
            self.assertEqual(status, 1)
            self.assertEqual(said[0], f"Missing: cmake >= 3.22 (found {old})")
            self.assertRegex(said[-1], rf"still missing after installing: cmake >= 3.22 \(found {old}\)")
        for new in ("3.22.0", "3.100", "4.0.1", "3.22.1-rc2"):
            machine.fake("cmake", f"echo cmake version {new}")
            self.assertEqual(machine.run()[0], 0, new)

    def test_make_does_for_ninja(self):
        machine = self.machine("ninja")
        self.assertEqual(machine.run("--check")[1], ["Missing: ninja-or-make"])
        machine.fake("make", ":")
        self.assertEqual(machine.run("--check"), (0, [], []))

    def test_a_compiler_without_headers_does_not_count(self):
        machine = self.machine()
        machine.fake("cc", "cat >/dev/null; exit 1")
        self.assertEqual(machine.run("--check")[1], ["Missing: compiler"])

    def test_unknown_option(self):
        status, said, _ = self.machine().run("--cl")
        self.assertEqual(status, 2)
        self.assertIn("--cl", said[-1])


if __name__ == "__main__":
    unittest.main()

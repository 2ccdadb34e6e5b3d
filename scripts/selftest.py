# SPDX-License-Identifier: Apache-2.0
"""Does each check catch what it is for?  selftest.py CHECK

Makes a small tree that is right, expects the check to pass, then plants one violation at a time and
expects it to fail and to say so."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SCRIPTS = pathlib.Path(__file__).parent
LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"
HEADER = LICENCE + "#pragma once\n"

# check -> (the tree that is right, [(planted file, its text, a word of the finding)])
CASES = {
    "check-includes": (
        {"src/wire/a.cpp": '#include <bulkhead/error.hpp>\n#include "os/syscall.hpp"\n',
         "src/wire/a_test.cpp": '#include "channel/x.hpp"\n',
         "include/bulkhead/channel.hpp": "#include <bulkhead/message.hpp>\n",
         "tools/bulkhead/bench.cpp": '#include "bench/duel.hpp"\n'},
        [("src/wire/b.cpp", '#include "transport/link.hpp"\n', "wire may not use transport/link.hpp"),
         ("src/os/b.cpp", "#include <bulkhead/channel.hpp>\n", "os may not use bulkhead/channel.hpp"),
         ("src/os/c.cpp", '#include "fd.hpp"\n', 'write "part/file.hpp"'),
         ("src/os/d.cpp", "#include <bulkhead/unheard_of.hpp>\n", "no part"),
         ("include/bulkhead/unheard_of.hpp", "#include <bulkhead/error.hpp>\n", "no owner"),
         ("tools/bulkhead/top.cpp", '#include "bench/duel.hpp"\n', "only public headers"),
         ("examples/a.cpp", '#include "os/syscall.hpp"\n', "only public headers")]),
    "check-order": (
        {"src/os/fence.hpp": "std::atomic_thread_fence(std::memory_order_seq_cst);\n",
         "src/os/a.cpp": "// ORDER(a.publish): makes the record visible; pairs with ORDER(a.observe).\n"
                         "tail.store(1,\n           std::memory_order_release);\n"
                         "x = tail.load(std::memory_order_acquire);  // ORDER(a.observe): pairs with ORDER(a.publish)\n"
                         "// ORDER(a.count): a statistic, no partner.\n"
                         "n.fetch_add(1, std::memory_order_relaxed);\n"},
        [("src/os/b.cpp", "int x;\ny = a.load(std::memory_order_relaxed);\n", "without an ORDER label"),
         ("src/os/b.cpp", "// ORDER(b): reads.\ny = a.load(std::memory_order::acquire);\n", "names no partner"),
         ("src/os/b.cpp", "// ORDER(b): pairs with ORDER(nowhere).\ny = a.load(std::memory_order_acquire);\n",
          "which is nowhere"),
         ("src/os/b.cpp", "// ORDER(b): pairs with ORDER(a.count).\ny = a.load(std::memory_order_acquire);\n",
          "does not name ORDER(b) back"),
         ("src/wire/b.cpp", "std::atomic_thread_fence(std::memory_order_seq_cst);\n", "a fence outside")]),
    "check-coroutines": (
        {"src/os/a.cpp": "if (auto r = co_await f(options); r) { g(); }\n"
                         "while (co_await next()) { h(); }\n// co_await f({1})\n"},
        [("examples/a.cpp", "auto r = co_await f({.name = n},\n  token);\n", "a.cpp:1: braces"),
         ("examples/b.cpp", "g(co_await (f(Options{})));\n", "braces inside")]),
    "check-style": (
        {"src/os/a.cpp": LICENCE + 'void f() { std::snprintf(0, 0, "printf("); }\n',
         "src/os/a_test.cpp": LICENCE + 'void f() { std::printf("x"); }\n',
         "tests/a_test.cpp": LICENCE + "// Not synchronisation: any moment will do.\nusleep(1);\n",
         "include/bulkhead/a.hpp": HEADER},
        [("src/os/b.cpp", "int x;\n", "the first line is not the licence"),
         ("src/os/b.cpp", LICENCE + "void f() { std::cerr << 1; }\n", "never prints (std::cerr)"),
         ("src/os/b.cpp", LICENCE + 'void f() { printf("x"); }\n', "never prints"),
         ("src/os/b_test.cpp", LICENCE + "void f() { std::this_thread::sleep_for(1ms); }\n", "a sleep in a test"),
         ("src/os/b.hpp", LICENCE + "int x();\n", "no #pragma once"),
         ("include/bulkhead/bulkhead.hpp", HEADER, "does not include a.hpp"),
         ("include/bulkhead/b.hpp", HEADER + "\n" * 6000, "at most 45 and 6000"),
         ("scripts/b", "#!/bin/sh\n", "the first line is not the licence")]),
    "check-format": (
        {".clang-format": (SCRIPTS.parent / ".clang-format").read_text(), "src/os/a.cpp": "int x = 1;\n"},
        [("src/os/b.cpp", "int  x=1;\n", "b.cpp:1:")]),
    "check-headers": (
        {"include/bulkhead/a.hpp": HEADER + "inline int f() { return 1; }\n"},
        [("include/bulkhead/b.hpp", HEADER + "inline std::string f() { return {}; }\n", "bulkhead/b.hpp under"),
         ("include/bulkhead/b.hpp", LICENCE + "inline int f() { return 1; }\n", "redefinition"),
         ("include/bulkhead/b.hpp", HEADER + "inline int g(long x) { return x; }\n", "under g++"),
         ("include/bulkhead/b.hpp", HEADER + "inline void g() { throw 1; }\n", "-fno-exceptions")]),
}


def write(top, name, text):
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run(check, top):
    return subprocess.run([SCRIPTS / check, top], capture_output=True, text=True)


def expect(condition, what, done):
    if not condition:
        sys.exit(f"{what}; it ended with {done.returncode} and said:\n{done.stdout}{done.stderr}")


def test_check(check):
    right, planted = CASES[check]
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        for name, text in right.items():
            write(top, name, text)
        done = run(check, top)
        if done.returncode == 77:
            print(done.stdout)
            sys.exit(77)
        expect(done.returncode == 0, f"{check} refuses a tree that is right", done)
        for name, text, word in planted:
            write(top, name, text)
            done = run(check, top)
            output = done.stdout + done.stderr
            expect(done.returncode == 1 or (check == "check-format" and done.returncode), f"{check} misses {name}: {text!r}", done)
            expect(word in output, f"{check} does not say {word!r} of {name}", done)
            (top / name).unlink()
        expect(run(check, top).returncode == 0, f"{check} stays unhappy", done)
    print(f"{check}: {len(planted)} planted violations caught")


def test_setup():
    """scripts/setup with an apt-get that would remove a package: it stops before it installs."""
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        tool = "#!/bin/sh\n"
        write(top, "dpkg-query", tool)  # knows no package, so all are missing
        write(top, "sudo", tool + 'exec "$@"\n')
        write(top, "apt-get", tool + f'echo "$@" >> {top}/log\n'
              'case "$*" in *" -s "*) echo "Remv libfoo-dev [1.0]";; esac\n')
        for name in ("dpkg-query", "sudo", "apt-get"):
            (top / name).chmod(0o755)
        environment = {**os.environ, "PATH": f"{top}:{os.environ['PATH']}"}
        done = subprocess.run([SCRIPTS / "setup", "run"], capture_output=True, text=True, env=environment)
        expect(done.returncode == 1 and "libfoo-dev" in done.stderr, "setup would remove a package", done)
        calls = (top / "log").read_text().splitlines()
        expect(not any("install" in call and " -s " not in call for call in calls), "setup installed", done)
        write(top, "apt-get", tool + f'echo "$@" >> {top}/log\n')
        done = subprocess.run([SCRIPTS / "setup", "run"], capture_output=True, text=True, env=environment)
        last = (top / "log").read_text().splitlines()[-1]
        expect(done.returncode == 0 and "--no-install-recommends" in last and "libpng-dev" in last,
               "setup does not install what is missing", done)
        expect("clang" not in last and "gtest" not in last, "setup run wants more than a user needs", done)
        empty = top / "empty"
        empty.mkdir()
        for name in ("bash", "env"):
            (empty / name).symlink_to(shutil.which(name))
        done = subprocess.run([SCRIPTS / "setup", "run"], capture_output=True, text=True, env={"PATH": str(empty)})
        expect(done.returncode == 0 and "not a Debian system" in done.stderr, "setup fails elsewhere", done)
    print("setup: stops at a removal, installs what is missing, says what is needed elsewhere")


def test_ctest_lines():
    """scripts/ctest-lines behind a ctest of which two of four fail."""
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        write(top, "CTestTestfile.cmake", """
            add_test(works echo nothing-to-see)
            add_test(skips sh -c "echo no root; exit 77")
            set_tests_properties(skips PROPERTIES SKIP_RETURN_CODE 77)
            add_test(breaks sh -c "echo why it broke; exit 1")
            add_test(crashes sh -c "echo how it crashed; kill -SEGV $$")""")
        done = subprocess.run(["bash", "-o", "pipefail", "-c",
                               f"ctest --output-on-failure | {SCRIPTS}/ctest-lines failed.txt"],
                              cwd=top, capture_output=True, text=True)
        said, summary = done.stdout.split("The following tests FAILED:")
        for what in ("why it broke", "how it crashed"):
            expect(said.count(what) == 2, f"not told twice: {what}", done)
            expect(what in (top / "failed.txt").read_text(), f"not in the file: {what}", done)
        expect(done.returncode and "works ... " in said and "Start" not in said, "lines or status lost", done)
        expect("no root" not in (top / "failed.txt").read_text(), "a skipped one is called failed", done)
        expect("nothing-to-see" not in said and "breaks (Failed)" in summary, "not ctest's words", done)
    print("ctest-lines: what failed stands above the names of what failed")


if sys.argv[1] == "setup":
    test_setup()
elif sys.argv[1] == "ctest-lines":
    test_ctest_lines()
else:
    test_check(sys.argv[1])

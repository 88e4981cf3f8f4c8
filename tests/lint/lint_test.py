"""Plants violations in a small tree and looks whether lint.py finds them, and nothing else."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True  # keep the source tree clean
import lint  # noqa: E402

GOOD = {
    "decoder/lsn.h": "#pragma once\n#include <string>\nstruct Lsn {};\n",
    "conflict/decide.h": '#pragma once\n#include "decoder/lsn.h"\n',
    "engine/pg_handle.h": "#pragma once\ninline void end(PGconn* c) { PQfinish(c); }\n",
    "engine/link.cc": '#include "decoder/lsn.h"\n#include "engine/pg_handle.h"\n',
    "applier/applier.cc": '#include "conflict/decide.h"\n#include "engine/pg_handle.h"\n'
                          'void commit() { TEAL_FAILPOINT("kept"); }\n',
    "verifier/hash.cc": '#include "decoder/lsn.h"\n#include "engine/pg_handle.h"\n',
    "tools/main.cc": '// A new row; delete it: sleep_for is a word here, and so is "PQclear".\n'
                     'struct Kept {\n  Kept(const Kept&) = delete;\n};\n'
                     'const char* const kText = "new Applier";\nconst char* const kSql = R"(delete from t)";\n'
                     "constexpr int kLarge = 1'000'000;\n",
    "tests/support/wait_until.h": "#pragma once\n#include <thread>\n"
                                  "inline void pause() { std::this_thread::sleep_for(kStep); }\n",
    "docs/guide.md": "All is done.\n",
}

# check, file, content, what the message must hold
BAD = (
    ("includes", "decoder/bad.cc", '#include "engine/pg_handle.h"\n', "decoder/ must not include engine/"),
    ("includes", "conflict/bad.cc", '#include "engine/pg_handle.h"\n', "conflict/ must not include engine/"),
    ("includes", "engine/bad.cc", '#include "applier/applier.cc"\n', "engine/ must not include applier/"),
    ("includes", "applier/bad.cc", '#include "verifier/hash.cc"\n', "applier/ must not include verifier/"),
    ("includes", "verifier/bad.cc", '#include "applier/applier.cc"\n', "verifier/ must not include applier/"),
    ("includes", "tools/bad.cc", '#include "tests/support/wait_until.h"\n', "tools/ must not include tests/"),
    ("includes", "engine/bad.cc", '#include "pg_handle.h"\n', "no file of ours"),
    ("includes", "engine/bad.cc", '#include "../decoder/lsn.h"\n', "no file of ours"),
    ("includes", "engine/bad.cc", "#include <decoder/lsn.h>\n", "in quotes"),
    ("engine_names", "engine/bad.cc", "class Applier;\n", "must not name"),
    ("size", "tools/bad.cc", "\n" * 401, "split it"),
    ("unfinished", "tools/bad.cc", "// TO" "DO: later\n", "finish it"),
    ("unfinished", "docs/bad.md", "FIX" "ME\n", "finish it"),
    ("pragma_once", "tools/bad.h", "int x();\n", "#pragma once"),
    ("one_definition", "tools/bad.h", "#pragma once\nstruct Lsn {};\n", "decoder/lsn.h has a type Lsn already"),
    ("failpoints", "engine/failpoint.h", '#pragma once\nFailpoint{"gone", true},\n', "nothing passes gone"),
    ("failpoints", "engine/failpoint.h", '#pragma once\nFailpoint{"kept", false},\n', "no scenario kills at kept"),
    ("fences", "tools/bad.cc", 'const char* const kSql = "FROM pg_replication_origin_status";\n', "teal.progress"),
    ("handles", "tools/bad.cc", "void f(PGconn* c) { PQfinish(c); }\n", "PQfinish"),
    ("handles", "tests/bad.cc", "auto f = &PQfreemem;\n", "PQfreemem"),
    ("pauses", "tests/bad.cc", "void f() { std::this_thread::sleep_for(kLong); }\n", "sleep_for"),
    ("pauses", "engine/bad.cc", "void f() { usleep(1); }\n", "usleep"),
    ("raw_memory", "tools/bad.cc", "auto* p = new int(3);\n", "unique_ptr"),
    ("raw_memory", "tools/bad.cc", "void f(int* p) { delete p; }\n", "unique_ptr"),
    ("raw_memory", "tools/bad.cc", "void f(int* p) { delete[] p; }\n", "unique_ptr"),
    ("format", "tools/bad.cc", "int   x( );\n", "clang-format"),
)


class Lint(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="teal-lint-"))
        self.addCleanup(shutil.rmtree, self.root)
        shutil.copy(pathlib.Path(lint.__file__).parents[2] / ".clang-format", self.root)
        for name, content in GOOD.items():
            self.plant(name, content)

    def plant(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def run_lint(self, *arguments):
        return subprocess.run([sys.executable, lint.__file__, "--root", str(self.root), *arguments],
                              capture_output=True, text=True)

    def test_finds_nothing_in_a_good_tree(self):
        result = self.run_lint()
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)

    def test_finds_each_planted_violation(self):
        for check, name, content, message in BAD:
            with self.subTest(check=check, content=content[:60]):
                path = self.plant(name, content)
                result = self.run_lint(check)
                self.assertEqual(result.returncode, 1)
                self.assertIn(f"{name}:", result.stdout)
                self.assertIn(message, result.stdout)
                self.assertEqual(len(result.stdout.splitlines()), 1, result.stdout)
                path.unlink()

    def test_each_check_has_a_planted_violation(self):
        self.assertEqual(set(lint.CHECKS), {check for check, *_ in BAD})

    def test_a_misspelt_check_is_no_success(self):
        self.assertEqual(self.run_lint("nonsense").returncode, 2)


if __name__ == "__main__":
    unittest.main()

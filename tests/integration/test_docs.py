"""The documents say what is there: man pages against --help, links against files.

A page that lags behind the program is a defect like any other, so it fails a test like any other.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

SOURCE_DIR = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"])
BINARY_DIR = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"])
WAIT_S = 60
SKIPPED = 77

# The programs, how to ask each for its options, and the page and its section that describe them.
PAGES = (
    (("certpostd",), "certpostd.8", "OPTIONS"),
    (("certpost", "send"), "certpost.1", "OPTIONS"),
    (("certpost", "check"), "certpost.1", "OPTIONS OF CHECK"),
    (("certpost", "read"), "certpost.1", "OPTIONS OF READ"),
    (("certpost", "verify"), "certpost.1", "OPTIONS OF VERIFY"),
    (("certpost", "receipt"), "certpost.1", "OPTIONS OF RECEIPT"),
)

# What libcertpost.3 is about; server.h is another library's.
LIBRARY_HEADERS = ("client.h", "error.h", "status.h", "tls_io.h")


def skip(reason):
    """Ends the process so that ctest shows the test as skipped, and why."""
    print("SKIPPED:", reason, file=sys.stderr, flush=True)
    os._exit(SKIPPED)


def options_of_help(command):
    program = BINARY_DIR / "bin" / command[0]
    done = subprocess.run(
        [program, *command[1:], "--help"], capture_output=True, text=True, timeout=WAIT_S, check=True)
    found = set()
    for short, long in re.findall(r"(?m)^ +(?:(-\w), )?(--[\w-]+)", done.stdout):
        found |= {short, long} - {""}
    return found


def options_of_page(name, section):
    """What a section of the page lists with .It Fl; "-x" there is the option --x."""
    page = (SOURCE_DIR / "man" / name).read_text(encoding="utf-8")
    text = page.split(f"\n.Sh {section}\n")[1].split("\n.Sh ")[0]
    found = set()
    for item in re.findall(r"(?m)^\.It Fl (.*)$", text):
        words = item.split()
        names = [words[0]] + [name for word, name in zip(words, words[1:]) if word == "Fl"]
        found |= {"-" + name for name in names}
    return found


def markdown_files():
    """All of the project's own: not those of a build folder, which can be below the sources."""
    folders = [entry for entry in SOURCE_DIR.iterdir() if entry.is_dir() and entry.name not in (".git", "build")]
    return sorted([*SOURCE_DIR.glob("*.md"), *(file for folder in folders for file in folder.rglob("*.md"))])


class ManPages(unittest.TestCase):
    def test_every_option_of_help_is_in_the_man_page(self):
        for command, name, section in PAGES:
            options = options_of_help(command)
            self.assertGreater(len(options), 5)
            page = options_of_page(name, section)
            self.assertEqual(sorted(options - page), [], f"missing in man/{name}")

    def test_every_option_of_the_man_page_is_in_help(self):
        for command, name, section in PAGES:
            page = options_of_page(name, section)
            self.assertGreater(len(page), 5)
            self.assertEqual(sorted(page - options_of_help(command)), [], f"only in man/{name}")

    def test_exit_statuses_of_certpost_are_those_of_the_code(self):
        header = (SOURCE_DIR / "src/client/exit_status.h").read_text(encoding="utf-8")
        in_code = re.findall(r"EXIT_STATUS_\w+ = (\d+)", header)
        page = (SOURCE_DIR / "man/certpost.1").read_text(encoding="utf-8")
        in_page = re.findall(r"(?m)^\.It (\d+)$", page.split(".Sh EXIT STATUS")[1])
        self.assertGreater(len(in_code), 10)
        self.assertEqual(in_page, in_code)

    def test_exit_statuses_of_certpostd_are_those_of_the_code(self):
        source = (SOURCE_DIR / "src/server/main.c").read_text(encoding="utf-8")
        mapping = source.split("static int main_exit_status(")[1].split("\n}\n")[0]
        in_code = set(re.findall(r"return (\d+);", mapping))
        page = (SOURCE_DIR / "man/certpostd.8").read_text(encoding="utf-8")
        in_page = set(re.findall(r"(?m)^\.It (\d+)$", page.split(".Sh EXIT STATUS")[1]))
        self.assertGreater(len(in_code), 5)
        self.assertEqual(in_code - in_page, set())

    def test_every_public_function_of_the_client_library_is_in_its_man_page(self):
        """In the synopsis with all its parameters, and once more where the page says what it is for."""
        page = (SOURCE_DIR / "man" / "libcertpost.3").read_text(encoding="utf-8")
        synopsis, rest = page.split("\n.Sh SYNOPSIS\n")[1].split("\n.Sh DESCRIPTION\n")
        in_page = {}
        for name, inline, block in re.findall(r'(?m)^\.F[no] (\w+)(.*)\n((?:\.Fa .*\n)*)', synopsis):
            in_page[name] = re.findall(r'"([^"]+)"', inline + block)
        in_headers = {}
        for header in LIBRARY_HEADERS:
            text = (SOURCE_DIR / "include" / "certpost" / header).read_text(encoding="utf-8")
            for name, parameters in re.findall(r"CERTPOST_API[^;(]*?(\w+)\(([^;]*)\);", text):
                in_headers[name] = [" ".join(parameter.split()) for parameter in parameters.split(",")]
        self.assertGreater(len(in_headers), 20)
        self.assertEqual(in_page, in_headers)
        self.assertEqual([name for name in in_headers if f"\n.Fn {name}\n" not in rest
                          and f"\n.Fn {name} " not in rest], [])

    def test_man_pages_are_correct_mdoc(self):
        if shutil.which("mandoc") is None:
            skip("mandoc is missing: apt-get install mandoc")
        pages = sorted((SOURCE_DIR / "man").glob("*.[0-9]"))
        expected = {name for _, name, _ in PAGES} | {"certpostd.conf.5", "libcertpost.3"}
        self.assertEqual([page.name for page in pages], sorted(expected))
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True,
            timeout=WAIT_S)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


class Links(unittest.TestCase):
    def test_relative_links_lead_to_files(self):
        checked = 0
        for file in markdown_files():
            text = file.read_text(encoding="utf-8")
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if re.match(r"[a-z]+:", target) or target.startswith("#"):
                    continue
                checked += 1
                path = file.parent / target.partition("#")[0]
                self.assertTrue(path.exists(), f"{file.name}: {target}")
        self.assertGreater(checked, 10)

    def test_links_to_headings_lead_to_headings(self):
        for file in markdown_files():
            text = file.read_text(encoding="utf-8")
            for target, anchor in re.findall(r"\]\(([^)\s:#]*)#([^)\s]+)\)", text):
                other = file.parent / target if target else file
                headings = re.findall(r"(?m)^#+ (.*)$", other.read_text(encoding="utf-8"))
                anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
                           for heading in headings]
                self.assertIn(anchor, anchors, f"{file.name}: {target}#{anchor}")

    def test_scripts_in_shell_blocks_exist(self):
        """Every scripts/… that the documents tell people to type is there, and can be run."""
        typed = set()
        for file in markdown_files():
            blocks = re.findall(r"(?ms)^```(?:sh|console)\n(.*?)^```", file.read_text(encoding="utf-8"))
            typed |= set(re.findall(r"(?<![\w/.-])(scripts/[\w-]+)", "\n".join(blocks)))
        self.assertLessEqual({"scripts/demo", "scripts/test", "scripts/make-certs"}, typed)
        for script in typed:
            self.assertTrue(os.access(SOURCE_DIR / script, os.X_OK), script)

    def test_source_files_that_are_named_exist(self):
        """`src/…`, `tests/…` and `include/…` in backquotes are files or folders."""
        checked = 0
        for file in markdown_files():
            text = file.read_text(encoding="utf-8")
            for path in re.findall(r"`((?:src|include|tests|scripts|cmake|docs|man)/[\w./-]+)`", text):
                checked += 1
                self.assertTrue((SOURCE_DIR / path).exists(), f"{file.name}: {path}")
        self.assertGreater(checked, 20)

    def test_files_that_man_pages_name_exist(self):
        """.Pa docs/… and .Pa examples/… are files of the sources."""
        checked = 0
        for page in sorted((SOURCE_DIR / "man").glob("*.[0-9]")):
            for path in re.findall(r"(?m)^\.Pa ((?:docs|examples|include)/[\w./-]+)", page.read_text(encoding="utf-8")):
                checked += 1
                self.assertTrue((SOURCE_DIR / path).exists(), f"{page.name}: {path}")
        self.assertGreater(checked, 5)

    def test_tests_that_are_named_exist(self):
        """`many.thousand_clients` in backquotes is a case of tests/integration/test_many.py."""
        checked = 0
        for file in markdown_files():
            text = file.read_text(encoding="utf-8")
            for module, case in re.findall(r"`(?:integration\.)?([a-z_]+)\.([a-z0-9_]+)`", text):
                source = SOURCE_DIR / "tests" / "integration" / f"test_{module}.py"
                if source.exists():
                    checked += 1
                    cases = source.read_text(encoding="utf-8")
                    self.assertIn(f"    def test_{case}(", cases, f"{file.name}: {module}.{case}")
        self.assertGreater(checked, 20)

    def test_unit_tests_that_are_named_exist(self):
        """`unit.store_kill.*` is tests/unit/test_store_kill.c; a name instead of * is a case of it."""
        checked = 0
        for file in markdown_files():
            text = file.read_text(encoding="utf-8")
            for module, case in re.findall(r"`unit\.([a-z0-9_]+)\.([a-z0-9_]+|\*)`", text):
                checked += 1
                source = SOURCE_DIR / "tests" / "unit" / f"test_{module}.c"
                self.assertTrue(source.exists(), f"{file.name}: unit.{module}")
                if case != "*":
                    self.assertIn(f"static void test_{case}(", source.read_text(encoding="utf-8"), file.name)
        self.assertGreater(checked, 5)

    def test_every_claim_of_the_threat_model_has_a_test(self):
        """Each row that says what an adversary cannot do names one; what is not tested says "none"."""
        text = (SOURCE_DIR / "docs/threat-model.md").read_text(encoding="utf-8")
        rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| can")]
        self.assertGreater(len(rows), 40)
        for row in rows:
            self.assertEqual(len(row), 3, row)
            claim, _, test = (cell.strip() for cell in row)
            if claim.startswith("cannot") and test != "none":
                self.assertRegex(test, r"^`[a-z0-9_]+\.[a-z0-9_.]+\*?`", claim)


if __name__ == "__main__":
    unittest.main()

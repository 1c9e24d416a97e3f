"""What is installed: a stranger's program builds against it, links it, and delivers with it."""

import ctypes
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

import certificates as certs
import installed
import markdown_links
import processes
from certpost_server import Server
from installed import BINARY_DIR, EXAMPLES, PREFIX, SOURCE_DIR

CONSUMER = EXAMPLES / "consumer"
EMBEDDED = EXAMPLES / "embedded_server.c"
LIBRARIES = ("libcertpost", "libcertpost-server")
HEADERS = ("client.h", "error.h", "server.h", "status.h", "tls_io.h", "version.h")


class InstallCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def libraries_of(self, program):
        """The names that the program asks the dynamic linker for."""
        return re.findall(r"\(NEEDED\).*\[(.*?)\]", installed.run("readelf", "-d", program))

    def check_delivery(self, program, prefix=PREFIX):
        """The program's message is a row of the store of the certpostd that was installed with it."""
        store = self.folder / "store.db"
        with Server("--store", store, program=prefix / "sbin" / "certpostd") as server:
            status, output, errors = processes.run([program, server.address, certs.path("ca.crt"), "from outside"])
        self.assertEqual((status, output, errors), (0, "stored\n", ""))
        rows = sqlite3.connect(store).execute("SELECT seq, body FROM messages").fetchall()
        self.assertEqual(rows, [(1, b"from outside")])

    def check_embedded(self, program):
        """The program serves: the installed certpost gets one message taken, and one rejected."""
        with processes.Process([program, certs.path("server.crt"), certs.path("server.key"), "127.0.0.1:0"]) as server:
            address = server.stdout.wait_line(r"Serving on (\S+) until the input ends").group(1)
            send = [PREFIX / "bin" / "certpost", "send", "--cacert", certs.path("ca.crt"), "-q", address, "-m"]
            self.assertEqual(processes.run([*send, "word"])[0], 0)
            self.assertEqual(processes.run([*send, "1"])[0], 65)
            server.close_stdin()
            self.assertEqual(server.wait(), 0)
            server.stdout.wait_line("1 messages taken")


class Consumers(InstallCase):
    def test_cmake_shared(self):
        """The example as it is, which is also what README tells people to type."""
        installed.build_with_cmake(CONSUMER, self.folder / "build")
        program = self.folder / "build" / "consumer"
        self.assertIn("libcertpost.so.0", self.libraries_of(program))
        self.check_delivery(program)

    def test_cmake_static(self):
        project = installed.write_project(self.folder / "user", CONSUMER / "consumer.c",
                                          "certpost 0.1 REQUIRED COMPONENTS static", "certpost::certpost-static")
        installed.build_with_cmake(project, self.folder / "build")
        program = self.folder / "build" / "program"
        self.assertNotIn("libcertpost.so.0", self.libraries_of(program))
        self.check_delivery(program)

    def test_pkg_config_shared(self):
        program = self.folder / "consumer"
        installed.compile_with_pkg_config(CONSUMER / "consumer.c", program)
        self.assertIn("libcertpost.so.0", self.libraries_of(program))
        self.check_delivery(program)

    def test_pkg_config_static(self):
        program = self.folder / "consumer"
        installed.compile_with_pkg_config(CONSUMER / "consumer.c", program, static=True)
        self.assertNotIn("libcertpost.so.0", self.libraries_of(program))
        self.check_delivery(program)

    def test_moved_prefix(self):
        """Nothing in an installed tree says where it was installed."""
        moved = self.folder / "elsewhere"
        shutil.copytree(PREFIX, moved, symlinks=True)
        for name in ("pkg-config", "cmake"):
            program = self.folder / name / "consumer"
            program.parent.mkdir()
            if name == "cmake":
                installed.build_with_cmake(CONSUMER, program.parent, prefix=moved)
            else:
                installed.compile_with_pkg_config(CONSUMER / "consumer.c", program, prefix=moved)
            self.assertIn(str(moved), installed.run("ldd", program))
        self.check_delivery(program, prefix=moved)
        for file in moved.rglob("*"):
            if file.is_file():
                self.assertNotIn(os.fsencode(PREFIX), file.read_bytes(), file)

    def test_unknown_component_is_refused(self):
        project = installed.write_project(self.folder / "user", CONSUMER / "consumer.c",
                                          "certpost REQUIRED COMPONENTS gui", "certpost::certpost")
        with self.assertRaisesRegex(AssertionError, "gui"):
            installed.build_with_cmake(project, self.folder / "build")

    def test_incompatible_version_is_refused(self):
        project = installed.write_project(self.folder / "user", CONSUMER / "consumer.c",
                                          "certpost 7.0 REQUIRED", "certpost::certpost")
        with self.assertRaisesRegex(AssertionError, "7.0"):
            installed.build_with_cmake(project, self.folder / "build")

    def test_loaded_at_run_time(self):
        """As the programs of other languages load it."""
        library = ctypes.CDLL(str(installed.library_folder() / "libcertpost.so.0"))
        library.certpost_status_name.restype = ctypes.c_char_p
        self.assertEqual(library.certpost_status_name(4), b"truncated")


class EmbeddedServers(InstallCase):
    def test_server_by_cmake_shared(self):
        project = installed.write_project(self.folder / "user", EMBEDDED,
                                          "certpost REQUIRED COMPONENTS server", "certpost::server")
        installed.build_with_cmake(project, self.folder / "build")
        program = self.folder / "build" / "program"
        self.assertIn("libcertpost-server.so.0", self.libraries_of(program))
        self.check_embedded(program)

    def test_server_by_cmake_static(self):
        project = installed.write_project(self.folder / "user", EMBEDDED,
                                          "certpost REQUIRED COMPONENTS server-static", "certpost::server-static")
        installed.build_with_cmake(project, self.folder / "build")
        program = self.folder / "build" / "program"
        self.assertEqual([name for name in self.libraries_of(program) if "certpost" in name], [])
        self.check_embedded(program)

    def test_server_by_pkg_config_static(self):
        program = self.folder / "embedded"
        installed.compile_with_pkg_config(EMBEDDED, program, package="certpost-server", static=True)
        self.check_embedded(program)


class Headers(InstallCase):
    def check_alone(self, compiler, suffix, standard):
        flags = installed.pkg_config("--cflags", "certpost")
        installed_headers = sorted(path.name for path in (PREFIX / "include" / "certpost").iterdir())
        self.assertEqual(installed_headers, sorted(HEADERS))
        for header in HEADERS:
            source = self.folder / f"alone{suffix}"
            source.write_text(f"#include <certpost/{header}>\nint main(void) {{ return 0; }}\n", encoding="ascii")
            installed.run(compiler, standard, *installed.WARNINGS, *flags, "-fsyntax-only", source)

    def test_each_alone_in_c(self):
        self.check_alone("cc", ".c", "-std=c17")

    def test_each_alone_in_cplusplus(self):
        processes.need_program("c++")
        self.check_alone("c++", ".cc", "-std=c++17")

    def test_linked_from_cplusplus(self):
        processes.need_program("c++")
        source, program = self.folder / "user.cc", self.folder / "user"
        source.write_text("#include <certpost/client.h>\n#include <cstdio>\n"
                          "int main() { std::puts(certpost_status_name(CERTPOST_DIGEST)); }\n", encoding="ascii")
        installed.run("c++", "-std=c++17", source, "-o", program, *installed.pkg_config("--cflags", "--libs", "certpost"),
                      installed.run_path())
        self.assertEqual(installed.run(program), "digest\n")


class Symbols(InstallCase):
    def listed(self, library):
        return (SOURCE_DIR / "packaging" / "abi" / f"{library}.symbols").read_text(encoding="ascii").split()

    def test_shared_libraries_show_the_public_functions_and_nothing_else(self):
        for library in LIBRARIES:
            found = installed.run("nm", "-D", "--defined-only", installed.library_folder() / f"{library}.so").split("\n")
            names = sorted(line.split()[-1] for line in found if line)
            self.assertEqual(names, sorted(["CERTPOST_0", *(f"{name}@@CERTPOST_0" for name in self.listed(library))]))

    def test_static_libraries_show_the_public_functions_and_nothing_else(self):
        for library in LIBRARIES:
            found = installed.run("nm", "-g", "--defined-only", installed.library_folder() / f"{library}.a")
            self.assertEqual(sorted(re.findall(r"(?m)^[0-9a-f]+ \w (\w+)$", found)), self.listed(library))

    def test_interface_is_the_one_that_was_promised(self):
        """Functions, structs, enumerations and constants of the headers: scripts/abi, docs/install.md."""
        self.assertEqual(installed.run(SOURCE_DIR / "scripts" / "abi"),
                         "the public headers are as packaging/abi says\n")

    def test_changes_of_the_interface_are_noticed(self):
        """In a copy of the project: a function less, a smaller field, another parameter, a moved enumerator."""
        changes = (
            ("error.h", "CERTPOST_API void certpost_error_clear(struct certpost_error *error);", "",
             "-void certpost_error_clear(struct certpost_error *)"),
            ("client.h", "    uint64_t attempts; ", "    uint32_t attempts; ",
             "-struct certpost_client_facts: attempts at 80, 8 bytes"),
            ("tls_io.h", "SSL *ssl, int socket_fd", "SSL *ssl, long socket_fd",
             "+enum certpost_status certpost_tls_set_socket(SSL *, long)"),
            ("server.h", "    CERTPOST_TAKE,\n", "    CERTPOST_WAIT,\n    CERTPOST_TAKE,\n",
             "-enum certpost_decision: CERTPOST_TAKE 0"),
        )
        for name in ("include", "scripts", "packaging/abi"):
            shutil.copytree(SOURCE_DIR / name, self.folder / name)
        for header, before, after, _ in changes:
            path = self.folder / "include" / "certpost" / header
            text = path.read_text(encoding="utf-8")
            self.assertIn(before, text)
            path.write_text(text.replace(before, after, 1), encoding="utf-8")
        done = subprocess.run([self.folder / "scripts" / "abi"], capture_output=True, text=True,
                              timeout=installed.WAIT_S)
        self.assertEqual((done.returncode, done.stderr), (1, ""), done.stdout)
        for _, _, _, line in changes:
            self.assertIn(line, done.stdout.splitlines())


class Tree(InstallCase):
    def test_destdir(self):
        installed.install("/opt/certpost", destdir=self.folder)
        staged = self.folder / "opt" / "certpost"
        self.assertEqual(os.listdir(self.folder), ["opt"])
        self.assertIn("certpostd ", installed.run(staged / "sbin" / "certpostd", "--version"))
        for text in staged.rglob("*.pc"):
            self.assertNotIn(str(self.folder), text.read_text(encoding="utf-8"))

    def test_no_path_of_the_build_in_what_is_installed(self):
        """Neither the sources' folder nor the build's: the same sources give the same bytes anywhere."""
        checked = 0
        for file in PREFIX.rglob("*"):
            if file.is_file() and not file.is_symlink():
                content = file.read_bytes()
                for folder in (SOURCE_DIR, BINARY_DIR):
                    self.assertNotIn(os.fsencode(folder) + b"/", content, file)
                checked += 1
        self.assertGreater(checked, 30)

    def test_man_pages_are_where_man_looks(self):
        for page in (SOURCE_DIR / "man").glob("*.[0-9]"):
            self.assertTrue((PREFIX / "share" / "man" / f"man{page.suffix[1:]}" / page.name).exists(), page.name)

    def test_links_of_documents_lead_to_files_that_are_installed(self):
        documents = PREFIX / "share" / "doc" / "certpost"
        count, wrong = markdown_links.check(documents)
        self.assertEqual(wrong, [])
        self.assertGreater(count, 60)
        installed_documents = {path.name for path in documents.rglob("*.md")}
        self.assertLessEqual({path.name for path in (SOURCE_DIR / "docs").glob("*.md")}, installed_documents)

    def test_documents_that_installed_files_name_are_there(self):
        text = (PREFIX / "etc" / "certpost" / "certpostd.conf").read_text(encoding="utf-8")
        named = re.findall(r"/usr/(share/doc/certpost/\S+\.md)", text)
        self.assertGreater(len(named), 0)
        for path in named:
            self.assertTrue((PREFIX / path).exists(), path)

    def test_units_run_programs_that_are_installed(self):
        """Where there are units; each below the prefix for which the build was configured."""
        sources = [path.name.removesuffix(".in") for path in (SOURCE_DIR / "packaging" / "systemd").iterdir()]
        units = [name for name in sources if re.search(r"\.(service|socket|timer|path)$", name)]
        for name in units:
            unit = (PREFIX / "lib" / "systemd" / "system" / name).read_text(encoding="utf-8")
            for folder, program in re.findall(r"(?m)^ExecStart=\S*/(s?bin)/(\S+)", unit):
                self.assertTrue(os.access(PREFIX / folder / program, os.X_OK), f"{name}: {folder}/{program}")
        self.assertIn("u certpost ", (PREFIX / "lib" / "sysusers.d" / "certpost.conf").read_text(encoding="utf-8"))

    def test_readme_shows_the_example_as_it_is(self):
        readme = (SOURCE_DIR / "README.md").read_text(encoding="utf-8")
        self.assertIn("```cmake\n" + (CONSUMER / "CMakeLists.txt").read_text(encoding="ascii") + "```\n", readme)

    def test_configuration_that_is_installed_is_one(self):
        """With certificates where it says, and a folder for its store."""
        text = (PREFIX / "etc" / "certpost" / "certpostd.conf").read_text(encoding="utf-8")
        for before, after in (("/etc/certpost/server.crt", certs.path("server.crt")),
                              ("/etc/certpost/server.key", certs.path("server.key")),
                              ("/var/lib/certpost", str(self.folder))):
            self.assertIn(before, text)
            text = text.replace(before, after)
        path = self.folder / "certpostd.conf"
        path.write_text(text, encoding="utf-8")
        installed.run(PREFIX / "sbin" / "certpostd", "--config", path, "--test-config")

    def test_hardening(self):
        """Programs and shared libraries are position independent, with relocations and stack closed."""
        folder = installed.library_folder()
        for file in (PREFIX / "bin" / "certpost", PREFIX / "sbin" / "certpostd",
                     *(folder / f"{name}.so" for name in LIBRARIES)):
            headers = installed.run("readelf", "-hldW", file)
            self.assertRegex(headers, r"Type: +DYN ")
            self.assertIn("GNU_RELRO", headers)
            self.assertRegex(headers, r"FLAGS.*NOW|BIND_NOW")
            self.assertRegex(headers, r"GNU_STACK .* RW +0x")
            self.assertNotRegex(headers, r"RPATH|RUNPATH")


if __name__ == "__main__":
    unittest.main()

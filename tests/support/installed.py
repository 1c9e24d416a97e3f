"""An installed certpost, and programs of somebody else that are built against it.

`installed.py make` is the command of the ctest fixture `installed`: it installs the build folder into PREFIX,
anew each time. What the tests build there they build as a stranger would, with nothing but the prefix.
"""

import os
import pathlib
import shutil
import subprocess
import sys

SOURCE_DIR = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"])
BINARY_DIR = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"])
PREFIX = BINARY_DIR / "tests" / "installed"
EXAMPLES = SOURCE_DIR / "examples"
WAIT_S = 120
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


def run(*command, environment=None):
    """Runs a command to its end; its output, or an AssertionError with it."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, timeout=WAIT_S, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}\n{done.stdout}")
    return done.stdout


def install(prefix, destdir=None):
    environment = dict(os.environ)
    if destdir is not None:
        environment["DESTDIR"] = str(destdir)
    run("cmake", "--install", BINARY_DIR, "--prefix", prefix, environment=environment)


def library_folder(prefix=PREFIX):
    """lib, lib64 or lib/x86_64-linux-gnu: whatever GNUInstallDirs chose."""
    found = sorted(prefix.rglob("libcertpost.a"))
    if len(found) != 1:
        raise AssertionError(f"{prefix}: not one libcertpost.a but {found}")
    return found[0].parent


def pkg_config(*arguments, prefix=PREFIX):
    environment = dict(os.environ, PKG_CONFIG_PATH=str(library_folder(prefix) / "pkgconfig"))
    return run("pkg-config", *arguments, environment=environment).split()


def run_path(prefix=PREFIX):
    return f"-Wl,-rpath,{library_folder(prefix)}"


def compile_with_pkg_config(source, program, package="certpost", static=False, prefix=PREFIX):
    """cc and pkg-config. Static means ours: OpenSSL and the C library stay shared, as Debian has them."""
    flags = pkg_config("--cflags", package, prefix=prefix)
    libraries = pkg_config("--libs", *(["--static"] if static else []), package, prefix=prefix)
    if static:
        libraries = [word.replace("-lcertpost", "-l:libcertpost") + ".a" if word.startswith("-lcertpost") else word
                     for word in libraries]
    run("cc", "-std=c17", "-D_DEFAULT_SOURCE", *WARNINGS, *flags, source, "-o", program, *libraries,
        run_path(prefix))


def build_with_cmake(source_dir, build_dir, prefix=PREFIX):
    run("cmake", "-G", "Ninja", "-S", source_dir, "-B", build_dir, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", build_dir)


def write_project(folder, source, package, target):
    """A project of one program, as a user writes it."""
    folder.mkdir()
    shutil.copy(source, folder / "program.c")
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(user LANGUAGES C)\n"
        f"find_package({package})\nadd_executable(program program.c)\n"
        f"target_link_libraries(program PRIVATE {target})\n", encoding="ascii")
    return folder


if __name__ == "__main__":
    if sys.argv[1:] != ["make"]:
        sys.exit("usage: installed.py make")
    shutil.rmtree(PREFIX, ignore_errors=True)
    install(PREFIX)

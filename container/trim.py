"""Copy only what the service needs into the folder that becomes the image.

    python trim.py VENV ROOT [RUNTIME_BASE]

The interpreter of the build stage runs this. The lists below name what is left out, with the
reason. Only the shared libraries that the loader needs are copied. If RUNTIME_BASE is not
`scratch`, that image already has the interpreter and the system's libraries, and only VENV is
copied.
"""

import compileall
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from py_compile import PycInvalidationMode

USER = 10001
PROGRAM = "mobilenet-gateway"
ELF = b"\x7fELF"
LOAD, INTERPRETER = 1, 3  # segment types: mapped by the loader; path of the loader

# Patterns of fnmatch on paths below the standard library; a `*` also matches `/`.
STDLIB_LEFT_OUT = (
    "site-packages", "dist-packages",  # pip and other packages of the base image
    "ensurepip", "venv", "distutils", "lib2to3", "config-3.*",  # for installing and building
    "idlelib", "tkinter", "turtledemo", "turtle.py", "curses", "pydoc_data",  # for people
    "test", "*/test", "*/tests", "unittest", "doctest.py", "pdb.py", "pydoc.py",
    "_pydecimal.py", "_pyio.py",  # slower versions of modules in C
    "xmlrpc", "lib-dynload/audioop.*", "lib-dynload/ossaudiodev.*",
    "lib-dynload/nis.*", "lib-dynload/_crypt.*",  # the only users of seven shared libraries
    "sqlite3", "dbm",  # and their database libraries, which nothing uses
    "lib-dynload/_sqlite3.*", "lib-dynload/_dbm.*", "lib-dynload/_gdbm.*",
    "lib-dynload/_curses.*", "lib-dynload/_curses_panel.*", "lib-dynload/_tkinter.*",
    "lib-dynload/readline.*", "lib-dynload/_ctypes_test.*", "lib-dynload/_testbuffer.*",
    "lib-dynload/_testcapi.*", "lib-dynload/_testclinic.*", "lib-dynload/_testimportmultiple.*",
    "lib-dynload/_testinternalcapi.*", "lib-dynload/_testmultiphase.*",
    "lib-dynload/_xxtestfuzz.*", "lib-dynload/xxlimited*",
    "EXTERNALLY-MANAGED", "*__pycache__",
)  # fmt: skip
PACKAGES_LEFT_OUT = (
    "models", "mobilenet_gateway_client",  # of this project, for preparing models and for clients
    "onnxruntime/capi/libonnxruntime.so.*",  # for C programs: Python's module has its own copy
    "onnxruntime/transformers", "onnxruntime/quantization", "onnxruntime/tools",
    # numpy imports these on demand; nothing here does
    "numpy/f2py", "numpy/distutils", "numpy/_core/include", "numpy/_core/lib",  # for compiling
    "numpy/random", "numpy/fft", "numpy/ma", "numpy/polynomial", "numpy/testing",
    "numpy/*/tests", "numpy/tests", "numpy/_core/_multiarray_tests.*", "numpy/_core/_simd.*",
    "numpy/_core/_operand_flag_tests.*", "numpy/_core/_rational_tests.*",
    "numpy/_core/_struct_ufunc_tests.*", "numpy/_core/_umath_tests.*",
    "PIL/_imagingft.*", "PIL/_imagingtk.*", "PIL/_imagingcms.*",  # drawing text, windows, colour
    "*.pyi", "*.pyx", "*.pxd", "*.c", "*.h",
    "*/direct_url.json",  # origin of locally built wheels
    "*.libs",  # the needed ones are copied with the shared libraries
    "*__pycache__",
)  # fmt: skip


def main(venv: Path, root: Path, runtime_base: str = "scratch") -> None:
    """Assemble `root`, report missing libraries, and fix every file's time."""
    whole = runtime_base == "scratch"
    interpreter = Path(sys.executable).resolve()
    copy_venv(venv, root, interpreter)
    if whole:
        copy_file(interpreter, root)
        copy_tree(Path(sysconfig.get_path("stdlib")), root, STDLIB_LEFT_OUT)
        write_system_files(root)
    copy_libraries(venv, root, interpreter, whole)
    for path in walk(root):
        if is_elf(path):
            drop_debug_sections(path)
    compile_all(root, venv)
    fix_times(root, int(os.environ.get("SOURCE_DATE_EPOCH", "315532800")))


def copy_venv(venv: Path, root: Path, interpreter: Path) -> None:
    """Copy the packages, the command, and a link to the interpreter."""
    [packages] = venv.glob("lib/python3.*/site-packages")
    copy_tree(packages, root, PACKAGES_LEFT_OUT)
    copy_file(venv / "pyvenv.cfg", root)
    copy_file(venv / "bin" / PROGRAM, root)
    copy_file(venv / "healthcheck.py", root)
    (below(root, venv) / "bin" / "python").symlink_to(interpreter)


def copy_tree(tree: Path, root: Path, left_out: tuple[str, ...]) -> None:
    """Copy a folder to the same path below `root`, links followed, without `left_out`."""

    def ignore(folder: str, names: list[str]) -> set[str]:
        relative = Path(folder).relative_to(tree)
        return {
            name
            for name in names
            if any(fnmatch(str(relative / name), pattern) for pattern in left_out)
            or not (Path(folder) / name).exists()  # a dangling link
        }

    shutil.copytree(tree, below(root, tree), ignore=ignore, dirs_exist_ok=True)


def copy_file(path: Path, root: Path, to: Path | None = None) -> None:
    target = below(root, to or path)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)


def copy_libraries(venv: Path, root: Path, interpreter: Path, whole: bool) -> None:
    """Copy the shared libraries that the packages and the interpreter need.

    Libraries of packages keep their place. Those of the system go next to libc, where the loader
    looks without a cache. The loader itself must be where the interpreter names it.
    """
    loader = loader_of(interpreter)
    found = libraries(
        loader, [Path("/") / path.relative_to(root) for path in walk(root) if is_elf(path)]
    )
    if whole:
        copy_file(loader, root)
    [libc] = [path for path in found if path.name == "libc.so.6"]
    for path in found:
        if path.is_relative_to(venv):
            copy_file(path, root)
        elif whole and path.name != loader.name:
            copy_file(path, root, libc.with_name(path.name))


def libraries(loader: Path, files: Iterable[Path]) -> set[Path]:
    """The shared libraries that these files need, directly or not, as the loader resolves them."""
    found: set[Path] = set()
    missing: set[str] = set()
    for path in files:
        command = [str(loader), "--list", str(path)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        found |= {Path(os.path.normpath(at)) for at in re.findall(r"=> (/\S+) \(0x", run.stdout)}
        missing |= set(re.findall(r"(\S+) => not found", run.stdout))
    for name in sorted(missing):
        print(f"trim: {name} must come from the machine that runs the image")
    return found


def segments(data: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Type, offset and size of each segment of a 64-bit little-endian ELF file."""
    (headers,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    yield LOAD, headers, size * count  # the table itself is needed too
    for at in range(headers, headers + size * count, size):
        kind, _, offset, _, _, file_bytes = struct.unpack_from("<IIQQQQ", data, at)
        yield kind, offset, file_bytes


def loader_of(program: Path) -> Path:
    """The loader that a program names."""
    data = program.read_bytes()
    [(_, offset, length)] = [part for part in segments(data) if part[0] == INTERPRETER]
    return Path(data[offset : offset + length].rstrip(b"\0").decode())


def drop_debug_sections(path: Path) -> None:
    """Cut off what no segment maps: debug information and the table that leads to it.

    uvloop's wheel has 12 MB of it.
    """
    data = bytearray(path.read_bytes())
    end = max(offset + length for kind, offset, length in segments(data) if kind == LOAD)
    struct.pack_into("<Q", data, 40, 0)  # where the table of sections begins
    struct.pack_into("<HHH", data, 58, 0, 0, 0)  # size of entries, their number, index of names
    path.write_bytes(data[:end])


def compile_all(root: Path, venv: Path) -> None:
    """Compile all code, because a read-only root cannot later, and keep only this project's source.

    Without source, docstrings and assertions, the standard library and the packages save 28 MB of
    the image and 4 MB of memory; tracebacks still name their files and lines.
    """
    [ours] = below(root, venv).glob("lib/python3.*/site-packages/app")
    compile_folder(root, ours, legacy=False)
    kept = {ours, below(root, venv) / "healthcheck.py"}
    sources = [
        path for path in walk(root) if path.suffix == ".py" and not kept & {path, *path.parents}
    ]
    compile_folder(root, root, legacy=True)
    for path in sources:
        if path.with_suffix(
            ".pyc"
        ).is_file():  # files that do not compile are data, such as templates
            path.unlink()
    for path in kept_sources(kept):  # code with source has its byte code in __pycache__
        path.with_suffix(".pyc").unlink(missing_ok=True)


def kept_sources(kept: Iterable[Path]) -> Iterator[Path]:
    """The source files among these files and folders."""
    for path in kept:
        yield from path.rglob("*.py") if path.is_dir() else (path,)


def compile_folder(root: Path, folder: Path, *, legacy: bool) -> None:
    """Compile a folder; `legacy` writes byte code next to the source, not into `__pycache__`."""
    compileall.compile_dir(
        folder,
        maxlevels=20,
        quiet=2,
        stripdir=str(root),
        prependdir="/",
        legacy=legacy,
        optimize=2 if legacy else 0,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def write_system_files(root: Path) -> None:
    """Write a name for the user, and a folder for temporary files if the root is writable."""
    (root / "etc").mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text(f"gateway:x:{USER}:{USER}::/nonexistent:/sbin/nologin\n")
    (root / "etc/group").write_text(f"gateway:x:{USER}:\n")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)


def fix_times(root: Path, seconds: int) -> None:
    """Set all times, so that the same input gives the same layer."""
    for path in [*root.rglob("*"), root]:
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def walk(root: Path) -> Iterator[Path]:
    """Every regular file."""
    return (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == ELF


def below(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])

# Runs inside the sandbox as a warmed interpreter, and forks one attempt per request of the supervisor outside.
#
# Descriptors: 3 data for the attempt, 4 data from the attempt, 5 requests, 6 notices. The data of an attempt never
# passes through this process, so an attempt finds nothing of earlier ones here. Nothing in here can confirm an answer:
# the expected values and the comparison stay outside.
import builtins, gc, io, operator, os, random, resource, select, shutil, signal, struct, types

WARMED = (
    "math", "re", "json", "itertools", "functools", "collections", "heapq", "bisect", "random", "string", "typing",
    "dataclasses", "operator", "fractions", "decimal", "datetime", "copy", "statistics", "time", "io", "abc", "enum",
    "array", "cmath", "numbers", "textwrap", "contextlib", "threading", "queue", "calendar", "collections.abc",
)
for name in WARMED:
    try:
        __import__(name)
    except ImportError:
        pass


try:
    import ctypes
    prctl = ctypes.CDLL(None).prctl
except (ImportError, OSError):
    prctl = None


def load(name, source, setup):
    module = types.ModuleType(name)
    sys.modules[name] = module
    if setup:
        exec(compile(setup, "<setup>", "exec", dont_inherit=True), module.__dict__)
    exec(compile(source, "<solution>", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def find_function(scope, entry):
    found = None
    for at, part in enumerate(entry.split(".")):
        if at == 0 and part not in scope:
            raise NameError
        found = scope[part] if at == 0 else getattr(found, part)
        if isinstance(found, type) and at + 1 < len(entry.split(".")):
            found = found()
    return found


def serve(prepare, answer, limit, makers=None, hold=None, encode=encode, decode=decode, receive=receive, send=send,
          name=type_name, refused=Refused, failure=BaseException):
    # Answers one input at a time. For an exception, it reports only the name of its type.
    def reply(work):
        try:
            try:
                send(work())
            except refused as error:
                send(b"U" + str(error).encode("utf-8", "replace"))
            except failure as error:
                excuse(error)
                send(b"X" + name(error).encode("utf-8", "replace"))
        except failure:
            os._exit(1)

    scope = []

    def begin():
        scope.append(prepare())
        return b"R"

    reply(begin)
    while scope:
        body = receive()
        reply(lambda: b"V" + encode(answer(scope[0], decode(body, makers)), limit, hold))


def function_attempt(task):
    def prepare():
        return find_function(load("solution", task["source"], task["setup"]), task["entry"])

    serve(prepare, lambda function, call: function(*call[0], **call[1]), task["output"])


# What the judge may have done with the program's objects, besides calling them.
OPERATIONS = {name: getattr(builtins, name) for name in (
    "getattr", "setattr", "isinstance", "bool", "len", "str", "repr", "int", "float", "complex", "abs", "round", "iter",
    "next", "reversed")}
OPERATIONS.update((name, getattr(operator, name)) for name in (
    "getitem", "setitem", "delitem", "neg", "pos", "invert", "eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul",
    "truediv", "floordiv", "mod", "pow", "matmul", "xor"))
OPERATIONS.update({"and": operator.and_, "or": operator.or_})


def remote_attempt(task):
    # Carries out one operation at a time for the judge. What is not plain data stays here and gets a number.
    held = []

    def hold(value):
        held.append(value)
        return "held", [len(held) - 1]

    def prepare():
        scope = load("solution", fitting(task["source"], task["others"]), task["setup"])
        makers.update(entry=lambda name: found(scope, name), source=lambda text: eval(text, scope))
        return scope

    def found(scope, name):
        if name not in scope:
            raise NameError
        return scope[name]

    def library(module, name):
        return operator.attrgetter(name)(__import__(module, fromlist=["*"]))

    def answer(scope, request):
        operation, arguments, named = request
        before = []
        for place, value in [*enumerate(arguments), *named.items()]:
            if type(value) in (list, dict, set):
                try:
                    before.append((place, value, encode(value, limit)))
                except Refused:
                    pass
        if operation == "call":
            result = arguments[0](*arguments[1:], **named)
        else:
            result = OPERATIONS[operation](*arguments)
        return [result, [[place, value] for place, value, was in before if encode(value, limit, hold) != was]]

    makers, limit = {"held": held.__getitem__, "global": library}, task["output"]
    serve(prepare, answer, limit, makers, hold)


def fitting(source, others):
    # A completion may be read in several ways. The first that is Python counts.
    for text in [source] + others:
        try:
            compile(text, "<solution>", "exec", dont_inherit=True)
            return text
        except (SyntaxError, ValueError):
            pass
    return source


def statement_attempt(task):
    def prepare():
        return load("solution", task["source"], task["setup"])

    def answer(scope, text):
        exec(compile(text, "<test>", "exec"), scope)
        return True

    serve(prepare, answer, task["output"])


def feed(data, descriptor, os_write=os.write, os_close=os.close):
    try:
        while data:
            data = data[os_write(descriptor, data[:65536]):]
    except OSError:
        pass
    os_close(descriptor)


def stdio_attempt(task):
    import _thread
    data = receive()
    reader, writer = os.pipe()
    os.dup2(reader, 0)
    os.close(reader)
    os.dup2(4, 1)
    os.close(3)
    os.close(4)
    if len(data) <= 65536:
        feed(data, writer)
    else:
        _thread.start_new_thread(feed, (data, writer))
    confine(task)
    sys.stdin = open(0, "r", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.__stdin__, sys.__stdout__ = sys.stdin, sys.stdout
    sys.argv[:] = ["solution.py"]
    open_standard_streams()
    try:
        load("__main__", task["source"], task["setup"])
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException as error:
        excuse(error)
        raise


# The exit status that stands for an exhausted memory limit.
OUT_OF_MEMORY = 86


def open_standard_streams():
    # The files that lead to the standard streams lie in `/proc`, which no program can open.
    streams = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
    for place in range(3):
        streams["/dev/fd/%d" % place] = streams["/proc/self/fd/%d" % place] = place

    def stream(path):
        path = os.fspath(path) if isinstance(path, os.PathLike) else path
        return streams.get(os.fsdecode(path)) if isinstance(path, (str, bytes)) else None

    def opening(original):
        def open(file, *arguments, **named):
            place = stream(file)
            return original(file if place is None else os.dup(place), *arguments, **named)

        return open

    def descriptor(path, *arguments, **named):
        place = stream(path)
        return os_open(path, *arguments, **named) if place is None else os.dup(place)

    os_open, os.open = os.open, descriptor
    builtins.open = io.open = opening(io.open)


def make_excuse(get_name=OSError.filename.__get__, get_text=OSError.strerror.__get__,
                get_context=BaseException.__context__.__get__, kind=type, text=str, kill=os.kill, own=os.getpid):
    no_folder = "No usable temporary directory"

    def excuse(error):
        # Where there is no folder to write to, ends a program that failed to make a file there. The worker then says
        # that this machine does not support it. Elsewhere, and for other paths, the program is wrong on any machine.
        if has_scratch or not filters:
            return
        for _ in range(10):
            if kind(error) is PermissionError:
                name = get_name(error)
                if kind(name) is text and (name[:1] != "/" or name[:5] == "/tmp/"):
                    kill(own(), SIGSYS)
            elif kind(error) is FileNotFoundError:
                if kind(get_text(error)) is text and get_text(error)[:len(no_folder)] == no_folder:
                    kill(own(), SIGSYS)
            elif error is None:
                return
            error = get_context(error)

    PermissionError, FileNotFoundError = builtins.PermissionError, builtins.FileNotFoundError
    len, range, SIGSYS = builtins.len, builtins.range, signal.SIGSYS
    return excuse


excuse = make_excuse()


def confine(task):
    limits = [(resource.RLIMIT_AS, task["memory"]), (resource.RLIMIT_CPU, task["cpu"])]
    if own_processes:
        # Elsewhere it would count all processes of the user.
        limits.append((resource.RLIMIT_NPROC, 64))
    for limit, value in limits:
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def die_with(parent):
    # Without a process namespace, nothing else ends an attempt after its overseers were killed.
    PR_SET_PDEATHSIG = 1
    if prctl:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def filter_calls():
    # Before the attempt has a second thread, because a filter is for one thread and what it starts.
    PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
    for code in filters:
        code = code.replace(struct.pack("=I", someone), struct.pack("=I", os.getpid()))
        buffer = ctypes.create_string_buffer(code, len(code))
        program = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer)))
        if prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), program, ctypes.c_ulong(0), ctypes.c_ulong(0)):
            os._exit(1)


def attempt():
    os.close(5)
    os.close(6)
    filter_calls()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed(0)
    task = decode(receive())
    kinds = {
        "function": function_attempt, "remote": remote_attempt, "statements": statement_attempt,
        "judge": judge_attempt,
    }
    if task["mode"] == "stdio":
        # Returns, so that the interpreter ends as after any script: exit functions, threads, buffers.
        return stdio_attempt(task)
    confine(task)
    try:
        kinds[task["mode"]](task)
    finally:
        os._exit(0)


def notice(tag, value, more=b""):
    os.write(6, tag + struct.pack("<I", value & 0xFFFFFFFF) + more)


def bury(child):
    # In its own process namespace, everything that the attempt left behind is killed too.
    # Returns its wait status and the processor time of all.
    status, seconds = 0, 0.0
    if own_processes:
        try:
            os.kill(-1, signal.SIGKILL)
        except OSError:
            pass
    try:
        while True:
            pid, ended, used = os.wait4(-1, 0)
            status = ended if pid == child else status
            seconds += used.ru_utime + used.ru_stime
    except ChildProcessError:
        pass
    return status, seconds


def sweep():
    # Returns whether nothing is left. A program can leave folders that cannot be listed, or too deep to be removed.
    try:
        for name in os.listdir("."):
            try:
                os.unlink(name)
            except IsADirectoryError:
                shutil.rmtree(name)
        return True
    except (OSError, RecursionError):
        return False


def oversee(child):
    # A separate function, so that no data of an attempt stays in a frame that the next one could read.
    notice(b"P", child)
    watch = os.pidfd_open(child)
    waiting = select.poll()
    waiting.register(5, select.POLLIN)
    waiting.register(watch, select.POLLIN)
    for ready, _ in waiting.poll():
        if ready == 5 and not os.read(5, 1):
            os._exit(0)
    status, seconds = bury(child)
    os.close(watch)
    clean = sweep() if has_scratch else True
    notice(b"D", status, struct.pack("<QB", int(seconds * 1e6), clean))


def main():
    # Elsewhere the module `site` defines them.
    builtins.exit = builtins.quit = sys.exit
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.clear()
    gc.collect()
    gc.freeze()
    overseer = os.getpid()
    notice(b"R", sys.version_info[0] << 16 | sys.version_info[1])
    while True:
        request = os.read(5, 1)
        if not request:
            os._exit(0)
        if request != b"F":
            # A request to kill, sent before the notice arrived that the attempt had already ended.
            continue
        child = os.fork()
        if child == 0:
            die_with(overseer)
            return attempt()
        oversee(child)


def import_packages(names, sites):
    # Before the first attempt, because a program's time does not include it. One thread, because more would count as
    # the program's.
    sys.path.extend(sites)
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ[library + "_NUM_THREADS"] = "1"
    for name in names:
        try:
            __import__(name)
        except Exception as error:
            text = ("the package %s: %r" % (name, error)).encode()
            os.write(6, b"E" + struct.pack("<I", len(text)) + text)
            os._exit(1)


own_processes, has_scratch = sys.argv[1] == "1", sys.argv[2] == "1"
someone, filters = int(sys.argv[3]), [bytes.fromhex(code) for code in sys.argv[4].split(",") if code]
if filters and not prctl:
    why = b"this Python has no ctypes, which the filter of system calls needs"
    os.write(6, b"F" + struct.pack("<I", len(why)) + why)
    os._exit(1)
import_packages(filter(None, sys.argv[5].split(",")), sys.argv[6:])
main()

# Runs inside the sandbox as a warmed interpreter, and forks one attempt per request of the supervisor outside.
#
# Descriptors: 3 data for the attempt, 4 data from the attempt, 5 requests, 6 notices. The data of an attempt never
# passes through this process, so an attempt finds nothing of earlier ones here. Nothing in here can confirm an answer:
# the expected values and the comparison stay outside.
import sys

sys.path[:] = [entry for entry in sys.path if entry]

import ast, builtins, gc, os, random, resource, select, shutil, signal, struct, types

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


class Refused(Exception):
    pass


def make_codec():
    # Local names, so that a program that replaces built-ins does not break its own attempt.
    kind, size, whole, number, text, raw = type, len, int, float, str, bytes
    pack, unpack = struct.pack, struct.unpack_from
    refuse = Refused

    def encode(value, limit):
        parts = []
        state = [0, 0]

        def put(part):
            parts.append(part)
            state[0] += size(part)
            if state[0] > limit:
                raise refuse("a value over the output limit")

        def walk(value, depth):
            if depth > 100:
                raise refuse("a value that nests too deeply")
            of = kind(value)
            if value is None:
                put(b"N")
            elif of is bool_type:
                put(b"T" if value else b"F")
            elif of is whole:
                put_sized(b"i", (b"%x" % value))
            elif of is number:
                put(b"f" + pack("<d", value))
            elif of is text:
                try:
                    put_sized(b"s", value.encode("utf-8"))
                except UnicodeEncodeError:
                    raise refuse("a str with lone surrogates") from None
            elif of is raw:
                put_sized(b"b", value)
            elif of is list_type or of is tuple_type or of is set_type or of is frozenset_type:
                put((b"l" if of is list_type else b"t" if of is tuple_type else b"e") + pack("<I", size(value)))
                for item in value:
                    walk(item, depth + 1)
            elif of is dict_type:
                put(b"d" + pack("<I", size(value)))
                for key, item in value.items():
                    walk(key, depth + 1)
                    walk(item, depth + 1)
            else:
                raise refuse("a value of type " + type_name(value))

        def put_sized(tag, body):
            put(tag + pack("<I", size(body)))
            put(body)

        walk(value, 0)
        return b"".join(parts)

    bool_type, list_type, tuple_type, dict_type = bool, list, tuple, dict
    set_type, frozenset_type = set, frozenset
    name_of = type.__dict__["__name__"].__get__

    def type_name(value):
        return name_of(kind(value))[:60]

    def decode(data):
        def walk(at):
            tag = data[at:at + 1]
            at += 1
            if tag == b"N":
                return None, at
            if tag == b"T":
                return True, at
            if tag == b"F":
                return False, at
            if tag == b"f":
                return unpack("<d", data, at)[0], at + 8
            length = unpack("<I", data, at)[0]
            at += 4
            if tag == b"i":
                return whole(data[at:at + length], 16), at + length
            if tag == b"s":
                return data[at:at + length].decode("utf-8"), at + length
            if tag == b"b":
                return data[at:at + length], at + length
            items = []
            for _ in range_type(2 * length if tag == b"d" else length):
                item, at = walk(at)
                items.append(item)
            if tag == b"t":
                return tuple_type(items), at
            if tag == b"e":
                return set_type(items), at
            if tag == b"d":
                return dict_type(zip_type(items[::2], items[1::2])), at
            return items, at

        return walk(0)[0]

    range_type, zip_type = range, zip
    return encode, decode, type_name


encode, decode, type_name = make_codec()


def make_channel(os_read=os.read, os_write=os.write, size=len, pack=struct.pack, unpack=struct.unpack):
    def exactly(count):
        parts = []
        while count:
            part = os_read(3, count if count < 65536 else 65536)
            if not part:
                os._exit(0)
            parts.append(part)
            count -= size(part)
        return b"".join(parts)

    def receive():
        return exactly(unpack("<I", exactly(4))[0])

    def send(body):
        body = pack("<I", size(body)) + body
        while body:
            body = body[os_write(4, body):]

    return receive, send


receive, send = make_channel()


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


def serve(prepare, answer, limit, encode=encode, decode=decode, receive=receive, send=send, name=type_name,
          refused=Refused, failure=BaseException):
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
        reply(lambda: b"V" + encode(answer(scope[0], decode(body)), limit))


def function_attempt(task):
    def prepare():
        return find_function(load("solution", task["source"], task["setup"]), task["entry"])

    serve(prepare, lambda function, call: function(*call[0], **call[1]), task["output"])


def expression_attempt(task):
    def prepare():
        return load("solution", task["source"], task["setup"])

    serve(prepare, lambda scope, text: eval(compile(text, "<test>", "eval"), scope), task["output"])


def statement_attempt(task):
    def prepare():
        return load("solution", task["source"], task["setup"])

    def answer(scope, text):
        exec(compile(text, "<test>", "exec"), scope)
        return True

    serve(prepare, answer, task["output"])


def judge_attempt(task):
    # Does not load the program. It takes assertions apart, and later evaluates them with the values that the program
    # returned in another process.
    def prepare():
        scope = {name: sys.modules[name] for name in WARMED if name in sys.modules and "." not in name}
        if task["setup"]:
            exec(compile(task["setup"], "<setup>", "exec"), scope)
        return scope

    def answer(scope, request):
        if request[0] == "split":
            return split_assertion(scope, request[1])
        names = {"hole_%d" % at: value for at, value in enumerate(request[2])}
        return bool(eval(compile(request[1], "<test>", "eval"), dict(scope, **names)))

    serve(prepare, answer, task["output"])


class Holes(ast.NodeTransformer):
    # Cuts out each expression that begins with a name the tests themselves do not define.
    def __init__(self, known):
        self.known = known
        self.found = []
        self.bound = set()

    def visit(self, node):
        head = node
        while isinstance(head, (ast.Call, ast.Attribute, ast.Subscript)):
            head = head.func if isinstance(head, ast.Call) else head.value
        if isinstance(head, ast.Name) and head.id not in self.known and head.id not in self.bound:
            if any(isinstance(part, ast.Name) and part.id in self.bound for part in ast.walk(node)):
                raise Refused("a call of the program inside a comprehension or lambda")
            self.found.append(ast.unparse(node))
            return ast.copy_location(ast.Name("hole_%d" % (len(self.found) - 1), ast.Load()), node)
        return super().visit(node)

    def scoped(self, node):
        before = set(self.bound)
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                self.bound.add(part.id)
            elif isinstance(part, ast.arg):
                self.bound.add(part.arg)
        node = self.generic_visit(node)
        self.bound = before
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_Lambda = scoped


def split_assertion(scope, text):
    # Returns ["equal", holes, expected value] or ["weigh", holes, rest]. Anything else is refused.
    body = ast.parse(text.strip()).body
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        raise Refused("not a single assert statement")
    holes = Holes(set(scope) | set(dir(builtins)))
    rest = ast.fix_missing_locations(holes.visit(body[0].test))
    if not holes.found:
        raise Refused("it never uses the program")
    if (isinstance(rest, ast.Compare) and len(rest.ops) == 1 and isinstance(rest.ops[0], ast.Eq)
            and len(holes.found) == 1):
        sides = [rest.left, rest.comparators[0]]
        for hole, other in (sides, sides[::-1]):
            if isinstance(hole, ast.Name) and hole.id == "hole_0":
                return ["equal", holes.found, eval(compile(ast.Expression(other), "<test>", "eval"), dict(scope))]
    return ["weigh", holes.found, ast.unparse(rest)]


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
    sys.argv[:] = ["solution.py"]
    try:
        load("__main__", task["source"], task["setup"])
    except BaseException as error:
        excuse(error)
        raise


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
        "function": function_attempt, "expressions": expression_attempt, "statements": statement_attempt,
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


own_processes, has_scratch = sys.argv[1] == "1", sys.argv[2] == "1"
someone, filters = int(sys.argv[3]), [bytes.fromhex(code) for code in sys.argv[4].split(",") if code]
if filters and not prctl:
    why = b"this Python has no ctypes, which the filter of system calls needs"
    os.write(6, b"F" + struct.pack("<I", len(why)) + why)
    os._exit(1)
main()

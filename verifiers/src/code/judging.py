# The trusted side of a test. It runs the test code of an item, in an interpreter that never loads the program. The
# program runs in another process: here its functions are stand-ins, which send plain data there and return the plain
# data that comes back. So the test code may compare as it likes, and no expected value reaches the program.
import ast, builtins, symtable, textwrap, types

LIMIT = 64 << 20
LARGEST = sys.float_info.max


class ItemFault(BaseException):
    # The test code is at fault, whatever the program did. No `except Exception` of a test hides it.
    pass


class Judgement:
    # What has happened in the current test.
    calls = 0


class Source:
    # An argument that the program's process evaluates itself, such as a lambda.
    def __init__(self, text):
        self.text = text


def describe(value):
    # For an argument that is not plain data: how the program's process gets it.
    if type(value) is Remote:
        target = object.__getattribute__(value, "_of_the_program")
        return ("entry" if type(target) is str else "held"), [target]
    if type(value) is Source:
        return "source", [value.text]
    place = getattr(value, "__module__", None) or "builtins", getattr(value, "__qualname__", "")
    found = sys.modules.get(place[0])
    for part in place[1].split("."):
        found = getattr(found, part, None)
    if found is value and place[0] != "__main__":
        return "global", list(place)
    raise ItemFault("it passes a value of type %s to the program; only plain data and functions of Python's library can "
                    "be passed" % type_name(value))


def ask(operation, *arguments, **named):
    # Has the program's process carry out one operation, and returns the value or raises what was raised there.
    request = encode([operation, list(arguments), named], LIMIT, describe)
    Judgement.calls += 1
    send(b"C" + request)
    answer = receive()
    if answer[:1] == b"X":
        raise error_named(answer[1:].decode())
    try:
        value, changed = decode(answer[1:], {"held": Remote})
        for place, after in changed:
            before = (named if type(place) is str else arguments)[place]
            if type(before) is not type(after) or type(after) not in (list, dict, set):
                raise ValueError
            before.clear()
            (before.extend if type(after) is list else before.update)(after)
    except Exception:
        raise error_named("ValueError") from None
    return value


class ProgramError(Exception):
    pass


def error_named(name):
    of = getattr(builtins, name, None)
    try:
        error = of() if issubclass(of, Exception) else None
    except TypeError:
        error = None
    error = error or type(name, (ProgramError,), {})()
    error.of_the_program = name
    return error


class Remote:
    # Something in the program's process: a global name, or an object that is not plain data.
    __slots__ = ("_of_the_program",)

    def __init__(self, target):
        object.__setattr__(self, "_of_the_program", target)

    def __call__(self, *arguments, **named):
        return ask("call", self, *arguments, **named)

    def __getattr__(self, name):
        return ask("getattr", self, name)

    def __setattr__(self, name, value):
        ask("setattr", self, name, value)

    def __getitem__(self, key):
        return ask("getitem", self, key)

    def __setitem__(self, key, value):
        ask("setitem", self, key, value)

    def __delitem__(self, key):
        ask("delitem", self, key)

    def __enter__(self):
        return self.__getattr__("__enter__")()

    def __exit__(self, *_):
        self.__getattr__("__exit__")(None, None, None)

    def __instancecheck__(self, value):
        return type(value) is Remote and ask("isinstance", value, self) is True

    def __hash__(self):
        return hash(object.__getattribute__(self, "_of_the_program"))


def alone(operation):
    return lambda self: ask(operation, self)


def together(operation):
    # Only between two objects of the program, because a plain value here may be the expected one.
    return lambda self, other: ask(operation, self, other) if type(other) is Remote else NotImplemented


for name in ("bool", "len", "str", "repr", "int", "float", "complex", "abs", "round", "iter", "next", "reversed", "neg",
             "pos", "invert"):
    setattr(Remote, "__%s__" % name, alone(name))
for name in ("eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul",
             "and", "or", "xor"):
    setattr(Remote, "__%s__" % name, together(name))


def make_equal(tolerance):
    # `==` of an assertion: a boolean is no number, and floats may differ by the tolerance.
    def equal(left, right):
        kinds = type(left), type(right)
        if bool in kinds:
            return kinds[0] is kinds[1] and left is right
        if kinds == (float, float):
            return left == right or abs(left - right) <= tolerance * min(max(abs(left), abs(right), 1.0), LARGEST)
        if kinds in ((list, list), (tuple, tuple)):
            return len(left) == len(right) and all(map(equal, left, right))
        if kinds == (dict, dict):
            return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
        return left == right

    return equal


def root(node):
    # The name at the head of a chain of calls, attributes and subscripts.
    while isinstance(node, (ast.Call, ast.Attribute, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


class Rewritten(ast.NodeTransformer):
    # Puts the comparison of assertions in place of `==`, and makes each lambda in a call of the program an argument
    # that can travel. Their names are no identifiers, so no test can use them.
    def __init__(self, entries, tree):
        self.entries = entries
        self.variables = variables(tree)

    def visit_Compare(self, node):
        self.generic_visit(node)
        if len(node.ops) != 1 or not isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            return node
        call = ast.Call(ast.Name("<equal>", ast.Load()), [node.left, node.comparators[0]], [])
        return call if isinstance(node.ops[0], ast.Eq) else ast.UnaryOp(ast.Not(), call)

    def visit_Call(self, node):
        if root(node) in self.entries:
            node.args = [self.passed(value) for value in node.args]
            for keyword in node.keywords:
                keyword.value = self.passed(keyword.value)
        return self.generic_visit(node)

    def passed(self, node):
        if not isinstance(node, ast.Lambda) or (names_in(node) - variables(node)) & self.variables:
            return node
        return ast.Call(ast.Name("<source>", ast.Load()), [ast.Constant(ast.unparse(node))], [])


def global_names(table):
    # The names that a piece of source takes from outside, and those it sets at its top level.
    used, own = set(), set()
    for symbol in table.get_symbols():
        name = symbol.get_name()
        if table.get_type() == "module" and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()):
            own.add(name)
        elif symbol.is_global() or table.get_type() == "module":
            used.add(name)
    for child in table.get_children():
        inner = global_names(child)
        used |= inner[0]
        own |= inner[1]
    return used, own


def names_in(node):
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def variables(node):
    return ({part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
            | {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)})


def parsed(text):
    text = textwrap.dedent(text).strip()
    used, own = global_names(symtable.symtable(text, "<test>", "exec"))
    return ast.parse(text), used - own, own


def asserts(node):
    # Also a call such as `np.testing.assert_allclose(…)`, `check(f)` or `pytest.raises(…)`.
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        return name.startswith(("assert", "check", "test_", "raises"))
    return isinstance(node, ast.Assert)


def inferred(tree, unknown):
    # Where the spec names no entry: the unknown names that are called. A call that gets a result of the program beside
    # other values, or whose own result is the verdict, may be a comparison, which the program must not carry out.
    if len(unknown) == 1 and not any(isinstance(node, ast.Attribute) and root(node) in unknown
                                     for node in ast.walk(tree)):
        return unknown
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)
             and isinstance(node.func, ast.Name) and node.func.id in unknown]
    truths = [node.test for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    for node in truths:
        truths += node.values if isinstance(node, ast.BoolOp) else []
        truths += [node.operand] if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) else []
    for node in calls:
        arguments = node.args + [keyword.value for keyword in node.keywords]
        others = set().union(*map(names_in, arguments)) & unknown - {node.func.id}
        if others and (len(arguments) > 1 or any(node is truth for truth in truths)):
            names = ", ".join("`%s`" % name for name in sorted(others | {node.func.id}))
            raise Refused("it uses %s; name those that the program defines in `entries`, and define the others in "
                          "`setup`" % names)
    return {node.func.id for node in calls}


def read_tests(scope, texts, entries, tolerance):
    # Returns the code of each test. Refuses what cannot be judged, before the program has run.
    def refuse(at, why):
        raise Refused("assertion %d of the spec cannot be judged: %s" % (at + 1, why))

    known = set(scope) | set(dir(builtins))
    read, called = [], set(entries)
    for at, text in enumerate(texts):
        try:
            read.append(parsed(text))
            tree, used, own = read[-1]
            if not any(map(asserts, ast.walk(tree))):
                raise Refused("not an assert statement")
            if not entries:
                called |= inferred(tree, used - known)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            refuse(at, "raised " + type_name(error))
        except Refused as error:
            refuse(at, error)
    scope = dict(scope, **{"<equal>": make_equal(tolerance), "<source>": Source})
    scope.update((name, Remote(name)) for name in called)
    codes = []
    for at, (tree, used, own) in enumerate(read):
        unknown = sorted(used - known - called)
        if unknown:
            refuse(at, "`%s` is not in `entry` or `entries`, and `setup` does not define it; add it to `entries` if the "
                   "program defines it, otherwise import or define it in `setup`" % unknown[0])
        if not used & called:
            refuse(at, "it never uses the program; name the program's function in `entry`")
        for node in ast.walk(tree):
            sides = [node.left] + node.comparators if isinstance(node, ast.Compare) else []
            for side in sides:
                if not names_in(side) & (called | own) and names_in(side) <= known:
                    try:
                        eval(compile(ast.Expression(side), "<test>", "eval"), dict(scope))
                    except Exception as error:
                        refuse(at, "`%s` raised %s" % (ast.unparse(side)[:60], type_name(error)))
                    except ItemFault as error:
                        refuse(at, error)
        tree = ast.fix_missing_locations(Rewritten(called, tree).visit(tree))
        codes.append((compile(tree, "<test>", "exec"), scope))
    return codes


def outcome(test):
    # Runs a test. Returns whether it holds, what happened otherwise, and how often it asked the program.
    Judgement.calls, why = 0, None
    try:
        test()
    except ItemFault as error:
        raise Refused(str(error)) from None
    except AssertionError as error:
        why = "the assertion does not hold"
        why = "raised AssertionError" if hasattr(error, "of_the_program") else why
    except BaseException as error:
        raised = "raised %s" % getattr(error, "of_the_program", type_name(error))
        why = raised if hasattr(error, "of_the_program") else "the assertion " + raised
    return [why is None, why or "", Judgement.calls]


def judge_attempt(task):
    codes = []

    def prepare():
        sys.modules["tests"] = types.ModuleType("tests")
        scope = sys.modules["tests"].__dict__
        scope.update((name, sys.modules[name]) for name in WARMED if name in sys.modules and "." not in name)
        scope["np"] = scope["numpy"] = numpy_or_stand_in()
        scope["pytest"] = pytest_stand_in()
        for source in (task["setup"], task["source"]):
            exec(compile(source, "<setup>", "exec", dont_inherit=True), scope)
        if task["source"] and not callable(scope.get("check")):
            raise NameError
        return scope

    def answer(scope, request):
        kind, arguments = request[0], request[1:]
        if kind == "read":
            codes[:] = read_tests(scope, *arguments)
            return len(codes)
        if kind == "run":
            code, names = codes[arguments[0]]
            return outcome(lambda: exec(code, dict(names)))
        if kind == "check":
            program = scope[arguments[0]] = Remote(arguments[0])
            return outcome(lambda: scope["check"](program))
        verdict = scope["check"](*arguments)
        if type(verdict) is not bool:
            raise Refused("a value of type %s in place of True or False" % type_name(verdict))
        return verdict

    serve(prepare, answer, task["output"])


def pytest_stand_in():
    # What assertions use of it.
    module = types.ModuleType("pytest")

    class approx:
        def __init__(self, expected, rel=1e-6, abs=1e-12):
            self.expected, self.rel, self.abs = expected, rel, abs

        def __eq__(self, found):
            return self.near(self.expected, found)

        def near(self, expected, found):
            if isinstance(expected, dict):
                return (isinstance(found, dict) and expected.keys() == found.keys()
                        and all(self.near(expected[key], found[key]) for key in expected))
            if isinstance(expected, (list, tuple)):
                return (isinstance(found, (list, tuple)) and len(expected) == len(found)
                        and all(map(self.near, expected, found)))
            if type(expected) not in (int, float) or type(found) not in (int, float):
                return expected == found
            limit = min(max(self.rel * abs(expected), self.abs), LARGEST)
            return expected == found or abs(expected - found) <= limit

    class raises:
        def __init__(self, expected, match=None):
            self.expected = expected

        def __enter__(self):
            return self

        def __exit__(self, kind, value, trace):
            if kind is None:
                raise AssertionError
            self.value = value
            return issubclass(kind, self.expected)

    module.approx, module.raises = approx, raises
    sys.modules["pytest"] = module
    return module


def numpy_or_stand_in():
    # numpy where the settings allow it, otherwise only what tests use to compare numbers.
    try:
        import numpy
        return numpy
    except ImportError:
        pass
    module, testing = types.ModuleType("numpy"), types.ModuleType("numpy.testing")

    def pairs(left, right):
        rows = [isinstance(side, (list, tuple)) for side in (left, right)]
        if all(rows) and len(left) != len(right):
            raise ValueError("shapes differ")
        if not any(rows):
            return [(left, right)]
        count = len(left if rows[0] else right)
        left, right = (side if row else [side] * count for side, row in zip((left, right), rows))
        return [pair for one, other in zip(left, right) for pair in pairs(one, other)]

    def near(left, right, rtol, atol, equal_nan):
        both_nan = left != left and right != right
        return both_nan and equal_nan or left == right or abs(left - right) <= min(atol + rtol * abs(right), LARGEST)

    def allclose(left, right, rtol=1e-5, atol=1e-8, equal_nan=False):
        return all(near(one, other, rtol, atol, equal_nan) for one, other in pairs(left, right))

    def isclose(left, right, rtol=1e-5, atol=1e-8, equal_nan=False):
        if isinstance(left, (list, tuple)):
            other = right if isinstance(right, (list, tuple)) else [right] * len(left)
            return [isclose(one, two, rtol, atol, equal_nan) for one, two in zip(left, other)]
        return near(left, right, rtol, atol, equal_nan)

    def array_equal(left, right):
        try:
            return all(one == other for one, other in pairs(left, right))
        except ValueError:
            return False

    def assert_allclose(actual, desired, rtol=1e-7, atol=0, equal_nan=True, **_):
        assert allclose(actual, desired, rtol, atol, equal_nan)

    def assert_almost_equal(actual, desired, decimal=7, **_):
        assert all(abs(one - other) < 1.5 * 10 ** -decimal for one, other in pairs(actual, desired))

    def assert_array_equal(actual, desired, **_):
        assert all(near(one, other, 0, 0, True) for one, other in pairs(actual, desired))

    def missing(name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise ItemFault("it uses `numpy.%s`; set `packages = [\"numpy\"]` in the settings of `code`" % name)

    class ndarray(list):
        def __eq__(self, other):
            return ndarray(one == two for one, two in pairs(list(self), other))

        def __bool__(self):
            if len(self) != 1:
                raise ValueError("the truth of an array")
            return bool(self[0])

        def all(self):
            return all(self)

        def any(self):
            return any(self)

        def tolist(self):
            return list(self)

    def array(value, *_, **__):
        return ndarray(value) if isinstance(value, (list, tuple)) else value

    module.__dict__.update(
        allclose=allclose, isclose=isclose, array_equal=array_equal, array=array, asarray=array,
        isnan=lambda value: value != value, nan=float("nan"), inf=float("inf"), pi=3.141592653589793,
        e=2.718281828459045, float64=float, float32=float, int64=int, int32=int, bool_=bool, ndarray=ndarray,
        generic=type("generic", (), {}), testing=testing, __getattr__=missing,
    )
    testing.__dict__.update(
        assert_allclose=assert_allclose, assert_almost_equal=assert_almost_equal, assert_equal=assert_array_equal,
        assert_array_equal=assert_array_equal, assert_array_almost_equal=assert_almost_equal, __getattr__=missing,
    )
    sys.modules.update({"numpy": module, "numpy.testing": testing})
    return module

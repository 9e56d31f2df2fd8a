import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CelCostError, CelError } from './ast.ts';
import { checkCel, dyn } from './check.ts';
import { parseCel } from './parser.ts';
import { Budget, runCel } from './run.ts';
import type { Value } from './values.ts';

const self: Value = new Map<string, Value>([
  ['a', [1n, 2n, 3n]],
  [
    'm',
    new Map<string, Value>([
      ['k', 'v'],
      ['n', 2n],
    ]),
  ],
  ['s', 'héllo'],
  ['d', 1.5],
]);

function run(text: string, steps = 100_000): Value {
  const node = parseCel(text);
  checkCel(node, new Map([['self', dyn]]));
  return runCel(node, { self }, new Budget(steps));
}

/** Each is true. */
const truths = `
1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1
0xFF == 255 && 1u + 2u == 3u && 1.5 + 1.0 == 2.5 && -9223372036854775808 < 0
dyn(1) == 1.0 && dyn(1) == 1u && 1 < 1.5 && !(dyn(1) == "1")
"a" + "b" == 'ab' && r"\\d" == "\\\\d" && """x"y""" == 'x"y' && "\\u00e9" == "é" && b"\\xff".size() == 1
// a comment
[1, 2] + [3] == [1, 2, 3] && {"a": 1}.a == 1 && {1: "x"}[1] == "x" && 2 in [1, 2] && "a" in {"a": 1}
true || 1 / 0 == 1
1 / 0 == 1 || true
!(1 / 0 == 1 && false)
(true ? 1 : 2) == 1 && (false ? 1 : true ? 2 : 3) == 2
has(self.a) && !has(self.zz) && has(self.m.k) && !has(self.m.zz)
self.a.all(x, x > 0) && self.a.exists(x, x == 2) && self.a.exists_one(x, x == 2) && !self.a.exists_one(x, x > 1)
self.a.all(i, v, v == i + 1) && self.m.exists(k, v, k == "n" && v == 2) && self.m.all(k, k.size() == 1)
self.a.map(x, x * 2) == [2, 4, 6] && self.a.map(x, x > 1, x * 2) == [4, 6] && self.a.filter(x, x != 2) == [1, 3]
self.a.transformList(i, v, i * v) == [0, 2, 6] && self.m.transformMap(k, v, v == 2, 1) == {"n": 1}
self.a.exists(x, 1 / (x - 1) == 1)
cel.bind(n, self.a.size(), n * n) == 9
self.?zz.orValue("none") == "none" && self.?m.?k.orValue("none") == "v" && !self.a[?7].hasValue()
optional.of(1).optMap(x, x + 1).value() == 2 && !optional.none().optMap(x, x + 1).hasValue()
[?optional.none(), 1] == [1] && {?"a": optional.none()} == {} && optional.none().or(optional.of(1)).value() == 1
self.s.size() == 5 && size(self.a) == 3 && self.s.startsWith("hé") && self.s.endsWith("lo") && self.s.contains("ll")
"abc".matches("^a.c$") && matches("xabc", "b") && !"abc".matches("^b")
"a-b-c".split("-") == ["a", "b", "c"] && "a-b-c".split("-", 2) == ["a", "b-c"] && ["a", "b"].join(",") == "a,b"
"abcabc".replace("b", "x") == "axcaxc" && "abcabc".replace("b", "x", 1) == "axcabc" && "Ab".lowerAscii() == "ab" && "Ab".upperAscii() == "AB"
"hello".substring(1) == "ello" && "hello".substring(1, 3) == "el" && " a ".trim() == "a" && "hello".indexOf("l") == 2 && "hello".lastIndexOf("l") == 3 && "abc".charAt(1) == "b"
"abc 123".find("[0-9]+") == "123" && "1 22 333".findAll("[0-9]+") == ["1", "22", "333"] && "1 22 333".findAll("[0-9]+", 1) == ["1"]
"%d of %s, %.2f".format([1, "a", 1.5]) == "1 of a, 1.50" && "abc".reverse() == "cba" && strings.quote("a\\"b") == "\\"a\\\\\\"b\\""
[1, 2, 3].isSorted() && [1, 2].sum() == 3 && [3, 1].min() == 1 && [3, 1].max() == 3 && [1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2
[1, [2, [3]]].flatten() == [1, 2, [3]] && [3, 1, 2].sort() == [1, 2, 3] && [1, 1, 2].distinct() == [1, 2] && lists.range(3) == [0, 1, 2] && [1, 2, 3].slice(1, 2) == [2]
[{"n": 2}, {"n": 1}].sortBy(x, x.n)[0].n == 1 && [1, 2].reverse() == [2, 1]
sets.contains([1, 2], [2]) && sets.equivalent([1, 2], [2, 1]) && sets.intersects([1], [1, 2])
int("12") == 12 && string(12) == "12" && double("1.5") == 1.5 && int(1.9) == 1 && uint(1) == 1u && bool("true") && string(true) == "true" && bytes("a") == b"a"
type(1) == int && type("a") == string && type(self.a) == list && type(1) != type(1u)
duration("1h30m").getMinutes() == 90 && duration("90m") == duration("1h30m") && duration("-1.5s") < duration("0") && string(duration("1500ms")) == "1.5s"
timestamp("2024-02-29T12:30:00Z").getFullYear() == 2024 && timestamp("2024-02-29T12:30:00Z").getDayOfYear() == 59 && timestamp("2024-01-01T00:00:00Z") - timestamp("2023-12-31T23:00:00Z") == duration("1h")
timestamp("2024-07-01T22:30:00Z").getHours("Europe/Berlin") == 0 && timestamp("2024-07-01T22:30:00Z").getHours("+01:00") == 23
url("https://a.example.com:8443/p/q?x=1&x=2").getHost() == "a.example.com:8443" && url("https://a:8443/").getHostname() == "a" && url("https://a:8443/").getPort() == "8443" && url("https://a/p?x=1").getQuery()["x"] == ["1"] && url("https://[::1]/").getHostname() == "::1"
isURL("https://a/b") && isURL("/a/b") && !isURL("a b") && url("https://a/p").getScheme() == "https" && url("https://a/p").getEscapedPath() == "/p"
isIP("10.0.0.1") && !isIP("10.0.0") && ip("::1").isLoopback() && ip("10.0.0.1").family() == 4 && ip("fe80::1").isLinkLocalUnicast() && string(ip("::0001")) == "::1" && !ip.isCanonical("::0001") && ip("8.8.8.8").isGlobalUnicast()
isCIDR("10.0.0.0/8") && !isCIDR("10.0.0.0/33") && cidr("10.0.0.0/8").containsIP("10.1.2.3") && !cidr("10.0.0.0/8").containsIP(ip("11.0.0.1")) && cidr("10.0.0.0/8").containsCIDR("10.1.0.0/16") && cidr("10.1.2.3/8").masked() == cidr("10.0.0.0/8") && cidr("10.0.0.0/8").prefixLength() == 8
isQuantity("1.5Gi") && !isQuantity("1 Gi") && quantity("1Ki") == quantity("1024") && quantity("500m").isLessThan(quantity("1")) && quantity("1k").asInteger() == 1000 && string(quantity("0.5")) == "500m" && quantity("1").add(quantity("500m")).asApproximateFloat() == 1.5 && quantity("2").sub(3).sign() == -1 && quantity("1").compareTo(quantity("1000m")) == 0
!format.dns1123Label().validate("my-label").hasValue() && format.named("dns1123Label").value().validate("A").hasValue() && !format.named("nothing").hasValue() && format.uuid().validate("x").hasValue()
`
  .split('\n')
  .filter((line) => line.trim() !== '' && !line.startsWith('//'));
for (const text of truths) test(text, () => assert.equal(run(text), true));

const failures: readonly [string, RegExp][] = [
  ['1 / 0', /division by zero/],
  ['9223372036854775807 + 1', /overflow/],
  ['9223372036854775808', /too large/],
  ['[1][1]', /out of bounds/],
  ['{"a": 1}.b', /no such key: b/],
  ['self.a.exists(x, x == 9 || 1 / 0 == 1)', /division/],
  ['timestamp("2023-02-30")', /no timestamp/],
  ['quantity("x")', /no quantity/],
  ['optional.none().value()', /no value/],
];
for (const [text, message] of failures) test(`fails: ${text}`, () => assert.throws(() => run(text), message));

const refused: readonly [string, RegExp][] = [
  ['unknown', /undeclared reference to 'unknown'/],
  ['nofunction(1)', /undeclared reference to 'nofunction'/],
  ['1 + "a"', /no matching overload/],
  ['"a".startsWith(1)', /no matching overload/],
  ['1 == "a"', /no matching overload/],
  ['!1', /expected type 'bool'/],
  ['[1].all(x, x)', /expected type 'bool'/],
  ['has(1)', /has takes one field/],
  ['1 +', /unexpected end/],
  ['for', /reserved word/],
  ['"abc', /not closed/],
  ['"\\q"', /escape/],
  ['a.b.', /unexpected end/],
];
for (const [text, message] of refused) {
  test(`refused: ${text}`, () => assert.throws(() => checkCel(parseCel(text), new Map()), message));
}

test('what costs too much ends, and nothing swallows that', () => {
  const nested = 'lists.range(200).all(a, lists.range(200).all(b, lists.range(200).all(c, true)))';
  assert.throws(() => run(nested), CelCostError);
  assert.throws(() => run(`${nested} || true`), CelCostError);
  assert.throws(() => run('"a".matches("b") || lists.range(1000000000).size() > 0'), CelCostError);
});

test('deep expressions are refused before a stack ends', () => {
  assert.throws(() => parseCel('('.repeat(5000)), /deeper/);
  assert.throws(() => parseCel('-'.repeat(5000)), /signs/);
  assert.throws(() => parseCel(`1${'+1'.repeat(5000)}`), /chain/);
  assert.throws(() => parseCel(`a${'.a'.repeat(5000)}`), /chain/);
  assert.throws(() => parseCel('[{1:'.repeat(3000)), /deeper/);
});

test('any text is an expression or a CelError, and an expression gives a value, a CelError or costs too much', () => {
  const piece = fc.constantFrom(
    'self',
    '.',
    'a',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    '"x"',
    "'",
    '1',
    '1.5',
    '2u',
    '+',
    '-',
    '*',
    '/',
    '%',
    '==',
    '<',
    '&&',
    '||',
    '!',
    '?',
    ':',
    ',',
    ' in ',
    'x',
    '.all(x,',
    '.map(x,',
    'has(',
    'size(',
    '.size()',
    'true',
    'null',
    'r"',
    '\\',
    '`',
    '.?',
    'b"a"',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 20 }).map((p) => p.join('')),
  );
  fc.assert(
    fc.property(text, (t) => {
      try {
        run(t, 2000);
      } catch (e) {
        assert.ok(e instanceof CelError || e instanceof CelCostError, String(e));
      }
    }),
    { numRuns: 5000 },
  );
});

test('literals mean what they say', () => {
  fc.assert(
    fc.property(fc.string(), (s) =>
      assert.equal(
        runCel(parseCel(JSON.stringify(s).replace(/[\ud800-\udfff]/g, 'x')), {}, new Budget(100)),
        s.replace(/[\ud800-\udfff]/g, 'x'),
      ),
    ),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (n) =>
      assert.equal(runCel(parseCel(String(n)), {}, new Budget(100)), n),
    ),
  );
});
